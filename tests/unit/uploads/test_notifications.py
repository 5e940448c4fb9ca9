"""Reading what S3 sends to the queue."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldgate.queues import PoisonMessage
from tests.support.media import s3_notification, setup_notification
from uploads.processing import uploaded_keys

KEY = "farmers/0198a5b6-0000-7000-8000-000000000001.jpg"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["Records", "eventName", "s3", "object", "key", "Event"]), inner
        )
    ),
)


def with_encoded_key(encoded: str) -> str:
    return s3_notification("KEY").replace("KEY", encoded)


def test_every_created_object_is_read() -> None:
    assert list(uploaded_keys(s3_notification(KEY, "uploads/b.png"))) == [KEY, "uploads/b.png"]


@pytest.mark.parametrize(
    "event_name",
    ["ObjectCreated:Put", "ObjectCreated:Post", "ObjectCreated:CompleteMultipartUpload"],
)
def test_however_the_object_was_created(event_name: str) -> None:
    assert list(uploaded_keys(s3_notification(KEY, event_name=event_name))) == [KEY]


@pytest.mark.parametrize("event_name", ["ObjectRemoved:Delete", "ObjectRestore:Completed", ""])
def test_an_event_of_another_kind_has_no_keys(event_name: str) -> None:
    assert list(uploaded_keys(s3_notification(KEY, event_name=event_name))) == []


def test_the_event_that_s3_sends_at_set_up_has_no_keys() -> None:
    assert list(uploaded_keys(setup_notification())) == []


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("farmers%2Fleaf.jpg", "farmers/leaf.jpg"),
        ("farmers/red+flower.jpg", "farmers/red flower.jpg"),
        ("farmers/a%2Bb.jpg", "farmers/a+b.jpg"),
        ("farmers/caf%C3%A9.jpg", "farmers/café.jpg"),
        ("farmers/100%25.jpg", "farmers/100%.jpg"),
    ],
)
def test_keys_are_url_decoded(encoded: str, key: str) -> None:
    assert list(uploaded_keys(with_encoded_key(encoded))) == [key]


@pytest.mark.parametrize(
    "message",
    [
        "",
        "not JSON",
        "{",
        "null",
        "17",
        '"text"',
        "[]",
        "{}",
        '{"Event": "s3:OtherEvent"}',
        '{"Records": null}',
        '{"Records": 17}',
        '{"Records": [null]}',
        '{"Records": ["text"]}',
        '{"Records": [{}]}',
        '{"Records": [{"eventName": 5}]}',
        '{"Records": [{"eventName": "ObjectCreated:Put"}]}',
        '{"Records": [{"eventName": "ObjectCreated:Put", "s3": null}]}',
        '{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {}}}]}',
        '{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": 5}}}]}',
        '{"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": "%FF"}}}]}',
        '{"Records": {"eventName": "ObjectCreated:Put"}}',
        '{"Records": [' * 100_000,
        "[" * 100_000,
        "1" * 5000,
    ],
    ids=lambda message: message[:60],
)
def test_anything_else_is_poison(message: str) -> None:
    with pytest.raises(PoisonMessage):
        list(uploaded_keys(message))


@given(json_values)
def test_whatever_json_comes_there_are_keys_or_it_is_poison(value: object) -> None:
    try:
        keys = list(uploaded_keys(json.dumps(value)))
    except PoisonMessage:
        return
    assert all(isinstance(key, str) for key in keys)
