"""What the smoke test is told, and what it says to those who tell it something else."""

import pytest

from tools.smoke_settings import Misuse, Settings

CREDENTIALS = {"SMOKE_IDENTIFIER": "+254711000001", "SMOKE_PASSWORD": "correct horse"}


def test_an_address_is_taken_with_a_slash_at_its_end() -> None:
    settings = Settings.from_environment({"BASE_URL": " https://api.example.org/ "} | CREDENTIALS)
    assert settings.base_url == "https://api.example.org"
    assert settings.realtime_url == "wss://api.example.org/hubs/permissions"
    assert "correct horse" not in repr(settings)


def test_the_websocket_may_be_elsewhere() -> None:
    elsewhere = "wss://w1x2y3z4.execute-api.af-south-1.amazonaws.com/live"
    given = {"BASE_URL": "https://api.example.org", "REALTIME_URL": elsewhere}
    assert Settings.from_environment(given).realtime_url == elsewhere


def test_this_machine_needs_no_encryption() -> None:
    settings = Settings.from_environment({"BASE_URL": "http://127.0.0.1:8080"})
    assert settings.realtime_url == "ws://127.0.0.1:8080/hubs/permissions"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "BASE_URL"),
        ({"BASE_URL": ""}, "BASE_URL"),
        ({"BASE_URL": "api.example.org"}, "looks like BASE_URL=https://"),
        ({"BASE_URL": "ftp://api.example.org"}, "looks like BASE_URL=https://"),
        ({"BASE_URL": "https://api.example.org:port"}, "looks like BASE_URL=https://"),
        ({"BASE_URL": "https://api.example.org/api/v1"}, "https://api.example.org"),
        ({"BASE_URL": "https://me:secret@api.example.org"}, "https://api.example.org"),
        ({"BASE_URL": "http://api.example.org"}, "in the clear"),
        ({"BASE_URL": "https://api.example.org", "REALTIME_URL": "ws://a.example"}, "in the clear"),
        ({"BASE_URL": "https://api.example.org", "SMOKE_IDENTIFIER": "x"}, "SMOKE_PASSWORD"),
        ({"BASE_URL": "https://api.example.org", "SETTLE_SECONDS": "soon"}, "number of seconds"),
        ({"BASE_URL": "https://api.example.org", "SETTLE_SECONDS": "nan"}, "number of seconds"),
    ],
    ids=str,
)
def test_misuse_is_told_what_to_write(given: dict[str, str], words: str) -> None:
    with pytest.raises(Misuse, match=words):
        Settings.from_environment(given)


@pytest.mark.parametrize("address", ["https://me:secret@api.example.org", "ftp://me:secret@api"])
def test_a_password_in_an_address_is_not_said_again(address: str) -> None:
    with pytest.raises(Misuse) as told:
        Settings.from_environment({"BASE_URL": address})
    assert "secret" not in str(told.value)
