"""Who is of which audience, and what a channel may be called."""

import uuid

import pytest

from realtime import audiences
from realtime.audiences import GUARDED_TOPICS, Viewer, may_follow

SOMEBODY = uuid.UUID("01989f3c-7a5e-7b7e-8a34-52b1c0a9d001")


def test_a_viewer_is_of_everybody_themselves_their_roles_and_channels() -> None:
    viewer = Viewer(SOMEBODY, ["agent", "farmer"], frozenset(), ["stock", "shipments:123"])
    assert viewer.audiences() == {
        "all",
        f"user:{SOMEBODY}",
        "role:agent",
        "role:farmer",
        "channel:stock",
        "channel:shipments:123",
    }


@pytest.mark.parametrize(("topic", "permission"), GUARDED_TOPICS.items())
def test_a_guarded_topic_is_heard_with_its_permission_only(topic: str, permission: str) -> None:
    for name in (topic, f"{topic}:7"):
        assert may_follow(frozenset({permission}), name)
        assert not may_follow(frozenset({"media:read", "users:write"}), name)
        without = Viewer(SOMEBODY, [], frozenset(), [name])
        assert without.audiences() == {"all", f"user:{SOMEBODY}"}


def test_a_topic_that_only_begins_like_a_guarded_one_is_none() -> None:
    for name in ("media-types", "users_online:1", "mediax:1"):
        assert may_follow(frozenset(), name)


def test_a_thing_s_channels_are_its_topic_and_itself() -> None:
    assert audiences.channels_of("media", "7") == ("channel:media", "channel:media:7")


@pytest.mark.parametrize(
    "name", ["a", "stock", "a-b_c1", "shipments:A.b-1_2", f"{'a' * 50}:{'1' * 100}"]
)
def test_the_name_of_a_channel(name: str) -> None:
    assert audiences.channel_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "A", "1a", "-a", "a b", "a:", ":a", "a:b:c", "a:*", "a\n", "a:b\n", "é", "a:é"),
        *("a" * 51, "a:" + "1" * 101, "٣", "a:٣"),
    ],
)
def test_what_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="like shipments"):
        audiences.channel_name(name)
