"""How many requests of whoever is not signed in: by identifier and by address."""

import re

import pytest

from fieldgate.http.limits import ADDRESS_FACTOR
from tests.support.limited import BURST, INTERVAL, Store, assert_limited, knock_at, told


def test_an_identifier_has_a_bucket_wherever_it_comes_from(store: Store) -> None:
    for number in range(BURST):
        answer = knock_at("Grower@farm.example.org", f"192.0.2.{number}")
        assert told(answer)["remaining"] == str(BURST - 1 - number), "not the address's, far fuller"

    assert_limited(knock_at(" grower@FARM.example.org", "192.0.2.99"), retry_after=12)
    assert knock_at("+254711000009").status == 200


def test_an_address_has_one_fifty_times_as_large(store: Store) -> None:
    whole = BURST * ADDRESS_FACTOR
    answer = knock_at(phone="")
    assert told(answer)["limit"] == str(BURST)
    # All but three of the address's, whatever the identifier.
    store.age(-(whole - 4) * INTERVAL / ADDRESS_FACTOR)
    store_keys = len(store.keys())
    answers = [knock_at(f"+25471100000{number}") for number in range(4)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429]
    assert told(answers[0]) == {
        "limit": str(whole),
        "remaining": "2",
        "reset": "1",
        "policy": "250;w=60;burst=500",
    }
    assert_limited(answers[3], retry_after=1)
    assert len(store.keys()) == store_keys + 3, "what the address is refused costs no identifier"


@pytest.mark.parametrize(
    "name", ["x-forwarded-for", "forwarded", "x-real-ip", "true-client-ip", "via"]
)
def test_a_header_does_not_change_the_address(store: Store, name: str) -> None:
    assert knock_at("a", **{name: "203.0.113.1"}).data == "192.0.2.7"
    store.age(-3600)

    assert knock_at("b", **{name: "203.0.113.2"}).status == 429
    assert knock_at("b", **{name: "203.0.113.2, 192.0.2.8"}).status == 429
    assert knock_at("b", address="192.0.2.8").status == 200


@pytest.mark.parametrize(
    ("seen", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", "unknown"),
        ("proxy", "unknown"),
    ],
)
def test_an_address_is_what_one_customer_has(
    environment: pytest.MonkeyPatch, seen: str, counted: str
) -> None:
    assert knock_at(address=seen).data == counted


EDGE_KEY = "only-cloudfront-has-this-one-to-show"


@pytest.mark.parametrize(
    ("shown", "forwarded", "counted"),
    [
        (EDGE_KEY, "203.0.113.5, 192.0.2.7", "203.0.113.5"),
        # What the client wrote itself stands before what CloudFront saw.
        (EDGE_KEY, "198.51.100.1, 203.0.113.5, 192.0.2.7", "203.0.113.5"),
        (EDGE_KEY, "2001:db8:1:2::1, 192.0.2.7", "2001:db8:1:2::/64"),
        (EDGE_KEY, "192.0.2.7", "192.0.2.7"),
        (EDGE_KEY, "", "192.0.2.7"),
        (EDGE_KEY[:-1], "203.0.113.5, 192.0.2.7", "192.0.2.7"),
        ("schlüssel", "203.0.113.5, 192.0.2.7", "192.0.2.7"),
    ],
)
def test_behind_cloudfront_the_address_is_what_it_saw(
    environment: pytest.MonkeyPatch, shown: str, forwarded: str, counted: str
) -> None:
    environment.setenv("EDGE_KEY", EDGE_KEY)
    headers = {"x-edge-key": shown, "x-forwarded-for": forwarded}
    assert knock_at(**headers).data == counted


def test_without_a_key_of_ours_nobody_is_cloudfront(environment: pytest.MonkeyPatch) -> None:
    headers = {"x-edge-key": "", "x-forwarded-for": "203.0.113.5, 192.0.2.7"}
    assert knock_at(**headers).data == "192.0.2.7"
    assert knock_at(**headers | {"x-edge-key": "anything"}).data == "192.0.2.7"


def test_no_number_or_address_is_written_down(store: Store) -> None:
    knock_at("+254711000009")

    assert len(store.keys()) == 2
    assert all(map(re.compile("limit:[0-9a-f]{64}").fullmatch, store.keys()))


def test_half_a_character_is_an_identifier_too(store: Store) -> None:
    assert knock_at("\ud800").status == 200
