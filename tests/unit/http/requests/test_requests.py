"""What a request must look like, and what is said of one that does not."""

import base64
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.gateway import call
from tests.support.orders_app import SECRET, assert_invalid, fields, handler


def test_a_good_request_is_answered_in_the_envelope() -> None:
    answer = call(handler, "POST", "/orders", content={"buyerName": "Grower"})

    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    content = answer.json()
    assert content["success"] is True
    assert content["data"] == {"buyerName": "Grower", "lineItems": [], "note": ""}
    assert set(content["meta"]) == {"timestamp", "version", "requestId"}
    assert content["meta"]["version"] == "1.0"
    assert content["meta"]["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ({}, {"buyerName"}),
        ({"buyerName": ""}, {"buyerName"}),
        ({"buyerName": None}, {"buyerName"}),
        ({"buyerName": 7}, {"buyerName"}),
        (
            {"buyerName": "A", "lineItems": [{"unitPrice": -1}, {}]},
            {"lineItems.0.unitPrice", "lineItems.1.unitPrice"},
        ),
        ({"buyerName": "A", "lineItems": [{"unitPrice": 1}, "beans"]}, {"lineItems.1"}),
        ({"buyerName": "A", "byerName": "A"}, {"byerName"}),
        ({"buyerName": "A", "note": "rude"}, {"note"}),
    ],
)
def test_what_is_wrong_is_said_by_its_camel_case_path(content: Any, wrong: set[str]) -> None:
    assert fields(call(handler, "POST", "/orders", content=content)) == wrong


def test_our_own_sentence_comes_without_the_frameworks() -> None:
    content = {"buyerName": "A", "note": "rude"}

    (detail,) = assert_invalid(call(handler, "POST", "/orders", content=content))
    assert detail == {"field": "note", "message": "must be polite"}


def test_what_was_sent_is_not_sent_back() -> None:
    answer = call(handler, "POST", "/orders", content={"buyerName": [SECRET], "note": 1})

    assert_invalid(answer)
    assert b"hunter2" not in answer.body


@pytest.mark.parametrize("content", [[], [{}], "text", 7, 1.5, True])
def test_json_of_another_kind_is_invalid(content: Any) -> None:
    assert_invalid(call(handler, "POST", "/orders", content=content))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "not json",
        "{",
        '{"buyerName": "A"',
        "{'buyerName': 'A'}",
        "\0",
        '{"buyerName": "a\0b"}',
        "buyerName=Grower",
        "NaN",
    ],
)
def test_a_body_that_is_not_json_is_invalid(body: str) -> None:
    assert_invalid(call(handler, "POST", "/orders", body=body))


def test_no_body_at_all_is_invalid() -> None:
    assert_invalid(call(handler, "POST", "/orders"))


@pytest.mark.parametrize(
    "nested",
    [
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000,
        '{"note":' + "[" * 5_000 + "]" * 5_000 + "}",
    ],
)
def test_deep_nesting_is_invalid(nested: str) -> None:
    assert_invalid(call(handler, "POST", "/orders", body=nested))


@pytest.mark.parametrize(
    "body", [b"\xff\xfe\xfd", b'{"buyerName": "\xe9"}', b'{"buyerName": "\xed\xa0\x80"}']
)
def test_a_body_that_is_not_utf_8_is_invalid(body: bytes) -> None:
    assert_invalid(call(handler, "POST", "/orders", body=body))


@pytest.mark.parametrize(
    "body",
    [
        r'{"buyerName": "\ud800"}',
        r'{"buyerName": "A", "\ud800": 1}',
        r'{"buyerName": "A", "lineItems": [{"\udfff": 1}]}',
        r'{"\u0000": 1}',
    ],
)
def test_half_a_surrogate_pair_is_invalid(body: str) -> None:
    assert_invalid(call(handler, "POST", "/orders", body=body))


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x", ""],
)
def test_another_content_type_is_not_read_as_json(content_type: str) -> None:
    body = json.dumps({"buyerName": "A"})
    headers = {"content-type": content_type}

    (detail,) = assert_invalid(call(handler, "POST", "/orders", body=body, headers=headers))
    assert detail == {"field": "body", "message": "must be a JSON object, sent as application/json"}


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"]
)
def test_json_is_known_by_its_content_type(content_type: str) -> None:
    body = json.dumps({"buyerName": "A"})
    headers = {"content-type": content_type}

    assert call(handler, "POST", "/orders", body=body, headers=headers).status == 201


def test_a_body_in_base64_is_read() -> None:
    def in_base64(event: dict[str, Any], context: Any) -> dict[str, Any]:
        body = base64.b64encode(event["body"].encode()).decode()
        return handler(event | {"body": body, "isBase64Encoded": True}, context)

    answer = call(in_base64, "POST", "/orders", content={"buyerName": "\N{SNOWMAN}"})

    assert answer.data["buyerName"] == "\N{SNOWMAN}"


def test_nul_inside_a_json_string_reaches_the_domain() -> None:
    assert (
        call(handler, "POST", "/orders", content={"buyerName": "a\0b"}).data["buyerName"] == "a\0b"
    )


def test_a_bad_path_is_invalid_and_named_as_the_contract_names_it() -> None:
    for path in ("/orders/1", "/orders/%00", "/orders/..", "/orders/%F0%9F"):
        assert fields(call(handler, "GET", path)) == {"orderId"}


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("page=0", {"page"}),
        ("page=-1", {"page"}),
        ("page=x", {"page"}),
        ("page=1000001", {"page"}),
        ("page=" + "9" * 5000, {"page"}),
        ("pageSize=0", {"pageSize"}),
        ("pageSize=101&page=0", {"page", "pageSize"}),
        ("pagesize=10", {"pagesize"}),
    ],
)
def test_a_bad_query_is_invalid(query: str, wrong: set[str]) -> None:
    assert fields(call(handler, "GET", "/orders", query=query)) == wrong


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_body_whatever_makes_a_500(body: bytes) -> None:
    assert_invalid(call(handler, "POST", "/orders", body=body))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["buyerName", "lineItems", "note", "x"]) | st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
            max_leaves=5,
        ),
        max_size=4,
    )
)
def test_any_json_is_taken_or_refused_with_400(content: dict[str, Any]) -> None:
    assert call(handler, "POST", "/orders", content=content).status in {201, 400}
