"""What a phone gets to read."""

import pytest

from fieldgate.errors import ConfigurationError
from sms.texts import Kind, compose

# The basic character set of GSM 03.38, less what no text of ours needs.
GSM = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
KINDS: list[Kind] = ["code", "already_registered", "password_first", "phone_changed"]

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.parametrize("kind", KINDS)
def test_every_text_is_one_text_of_plain_characters(
    environment: pytest.MonkeyPatch, kind: Kind
) -> None:
    environment.setenv("SMS_APP_HASH", "Ab3/+xYz019")
    text = compose(kind, code="012345", seconds=3600)
    assert len(text) <= 160
    assert set(text) <= GSM


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(599.8, "10 minutes"), (250, "4 minutes"), (60, "1 minute."), (1, "1 minute.")],
)
def test_a_code_comes_with_the_time_that_is_left(seconds: float, said: str) -> None:
    text = compose("code", code="012345", seconds=seconds)
    assert text.startswith("012345 is your Fieldgate code.")
    assert said in text


@pytest.mark.parametrize("kind", KINDS[1:])
def test_other_texts_hold_no_code(kind: Kind) -> None:
    assert "012345" not in compose(kind, code="012345", seconds=600)


def test_the_apps_hash_ends_a_code_so_that_android_hands_it_over(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("SMS_APP_HASH", "Ab3/+xYz019")
    text = compose("code", code="012345", seconds=600)
    assert text.endswith("\nAb3/+xYz019")
    assert len(text) <= 140  # what SMS Retriever takes


def test_a_hash_that_is_none_is_a_configuration_error(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SMS_APP_HASH", "too-short")
    with pytest.raises(ConfigurationError, match="SMS_APP_HASH"):
        compose("code", code="012345", seconds=600)
