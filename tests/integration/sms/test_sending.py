"""Which provider a text goes to: the chosen one, its fall-back, or the log."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from botocore.stub import Stubber
from moto import mock_aws
from moto.backends import get_backend
from moto.core.models import DEFAULT_ACCOUNT_ID

from fieldgate import circuit_breaker
from fieldgate.errors import ConfigurationError
from fieldgate.sms import (
    SmsError,
    SmsMisconfigured,
    SmsNotConfigured,
    SmsRefused,
    SmsUnavailable,
    sns,
)
from fieldgate.sms.sending import sending
from fieldgate.sms.sns import SnsSender
from tests.support.clock import Clock
from tests.support.log import Log
from tests.support.texts import PHONE, Vendor, Wire, recipient

TEXT = "012345 is your code"


class SnsInbox:
    """What moto was given to text."""

    def texts(self) -> list[tuple[str, str]]:
        backend = get_backend("sns")[DEFAULT_ACCOUNT_ID]["eu-west-1"]
        return list(backend.sms_messages.values())


@pytest.fixture
def inbox(environment: pytest.MonkeyPatch) -> Iterator[SnsInbox]:
    """Amazon SNS, as moto has it."""
    with mock_aws():
        yield SnsInbox()


@pytest.fixture
def clock(environment: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    environment.setattr(circuit_breaker, "time", SimpleNamespace(time=clock.monotonic))
    return clock


@pytest.mark.parametrize("name", ["africas_talking", "AfricasTalking", "AFRICASTALKING", None])
def test_africas_talking_is_chosen_by_either_spelling_and_by_default(
    vendor: Vendor, environment: pytest.MonkeyPatch, name: str | None
) -> None:
    if name:
        environment.setenv("SMS_PROVIDER", name)
    assert sending().send(PHONE, TEXT).provider == "africas_talking"
    assert vendor.texts(PHONE) == [TEXT]


def test_sns_sends_a_text(inbox: SnsInbox, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("SMS_PROVIDER", "SNS")
    sent = sending().send(PHONE, TEXT)
    assert (sent.provider, len(sent.message_id)) == ("sns", 36)
    assert inbox.texts() == [(PHONE, TEXT)]


def test_a_provider_that_nobody_knows_is_a_configuration_error(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("SMS_PROVIDER", "pigeon")
    with pytest.raises(ConfigurationError, match="SMS_PROVIDER"):
        sending()


@pytest.mark.parametrize("name", ["SMS_PROVIDER", "OTP_DEV_MODE"])
def test_a_text_in_the_log_is_readable_and_sent_to_nobody(
    vendor: Vendor, environment: pytest.MonkeyPatch, log: Log, name: str
) -> None:
    environment.setenv(name, "log" if name == "SMS_PROVIDER" else "true")
    assert sending().send(PHONE, TEXT).provider == "log"
    (line,) = log.said("text logged, not sent")
    assert line["text"] == TEXT
    assert PHONE not in log.text
    assert vendor.texts() == []


@pytest.mark.parametrize("name", ["SMS_PROVIDER", "OTP_DEV_MODE"])
def test_production_does_not_log_its_texts(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv("ENVIRONMENT", "production")
    environment.setenv(name, "log" if name == "SMS_PROVIDER" else "true")
    with pytest.raises(ConfigurationError, match=name):
        sending()


def test_after_three_failures_the_fall_back_sends_for_a_minute(
    vendor: Vendor, inbox: SnsInbox, clock: Clock, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("SMS_FALLBACK", "sns")
    vendor.faults.set("sms", "error", 60)
    for _ in range(3):
        with pytest.raises(SmsUnavailable):
            sending().send(PHONE, TEXT)
    assert inbox.texts() == []
    assert sending().send(PHONE, TEXT).provider == "sns"

    vendor.faults.set("sms", "error", 0)
    assert sending().send(PHONE, TEXT).provider == "sns"
    clock.now += circuit_breaker.OPEN_SECONDS
    assert sending().send(PHONE, TEXT).provider == "africas_talking"
    assert sending().send(PHONE, TEXT).provider == "africas_talking"


def test_without_a_fall_back_an_open_circuit_does_not_bother_the_vendor(wire: Wire) -> None:
    wire.status = 500
    for _ in range(5):
        with pytest.raises(SmsUnavailable):
            sending().send(PHONE, TEXT)
    assert len(wire.posted) == 3


def test_refused_numbers_open_no_circuit(wire: Wire) -> None:
    wire.say([recipient(406)])
    for _ in range(5):
        with pytest.raises(SmsRefused):
            sending().send(PHONE, TEXT)
    assert len(wire.posted) == 5


def test_what_somebody_must_mend_goes_to_the_fall_back_at_once_and_counts_an_alarm(
    wire: Wire,
    inbox: SnsInbox,
    environment: pytest.MonkeyPatch,
    log: Log,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment.setenv("SMS_FALLBACK", "sns")
    wire.say([recipient(405)])
    assert sending().send(PHONE, TEXT).provider == "sns"
    (line,) = log.said("texts need somebody to act")
    assert (line["provider"], line["reason"]) == ("africas_talking", "InsufficientBalance")
    printed = capsys.readouterr().out
    assert printed.count('"SmsAlarm"') >= 2
    assert '"reason":"InsufficientBalance"' in printed.replace(" ", "")


def test_without_credentials_there_is_still_the_fall_back(
    inbox: SnsInbox, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("SMS_FALLBACK", "sns")
    for _ in range(5):
        assert sending().send(PHONE, TEXT).provider == "sns"


def test_without_credentials_and_fall_back_it_stays_not_configured(
    environment: pytest.MonkeyPatch,
) -> None:
    for _ in range(5):
        with pytest.raises(SmsNotConfigured):
            sending().send(PHONE, TEXT)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidParameter", SmsRefused),
        ("OptedOut", SmsRefused),
        ("AuthorizationError", SmsMisconfigured),
        ("InvalidClientTokenId", SmsMisconfigured),
        ("Throttling", SmsUnavailable),
        ("InternalError", SmsUnavailable),
        ("NeverHeardOf", SmsUnavailable),
    ],
)
def test_sns_errors_become_ours_by_their_code(
    environment: pytest.MonkeyPatch, code: str, kind: type[SmsError]
) -> None:
    with Stubber(sns._client()) as stubber:
        stubber.add_client_error("publish", code, f"about {PHONE}")
        with pytest.raises(SmsError) as raised:
            SnsSender().send(PHONE, TEXT)
    assert (type(raised.value), raised.value.reason) == (kind, code)


def test_sns_that_is_not_there_is_worth_another_try(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("AWS_ENDPOINT_URL_SNS", "http://127.0.0.1:1")
    with pytest.raises(SmsUnavailable):
        SnsSender().send(PHONE, TEXT)


def test_sns_without_a_region_is_for_somebody_to_mend(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("AWS_DEFAULT_REGION")
    environment.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(SmsMisconfigured) as raised:
        SnsSender().send(PHONE, TEXT)
    assert raised.value.reason == "NoRegionError"
