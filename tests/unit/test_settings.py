"""Settings: where they come from, and what is said when they are not there."""

from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws
from pydantic import AliasChoices, Field

from fieldgate import settings
from fieldgate.errors import ConfigurationError, Unavailable
from fieldgate.settings import Settings, load, load_optional, lookup
from tests.support.clock import Clock
from tests.support.log import Log

VALUE = "hunter2-never-shown"


class Mail(Settings):
    mail_host: str
    mail_password: str
    mail_port: int = 25
    mail_sender: str = Field(
        default="", validation_alias=AliasChoices("MAIL_SENDER", "Smtp__Sender")
    )


@pytest.fixture(autouse=True)
def no_mail(environment: pytest.MonkeyPatch) -> None:
    for name in ("MAIL_HOST", "MAIL_PASSWORD", "MAIL_PORT", "MAIL_SENDER", "Smtp__Sender"):
        environment.delenv(name, raising=False)


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def complete(environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    environment.setenv("MAIL_HOST", "mail.test")
    environment.setenv("MAIL_PASSWORD", VALUE)
    return environment


def test_settings_come_from_the_variables_of_their_names(complete: pytest.MonkeyPatch) -> None:
    complete.setenv("MAIL_PORT", "2525")

    mail = load(Mail)

    assert (mail.mail_host, mail.mail_password, mail.mail_port) == ("mail.test", VALUE, 2525)


def test_every_missing_setting_is_named_in_one_error() -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load(Mail)

    assert str(refusal.value) == "MAIL_HOST is not set; MAIL_PASSWORD is not set"


def test_a_variable_set_to_nothing_is_missing(complete: pytest.MonkeyPatch) -> None:
    complete.setenv("MAIL_HOST", "")
    complete.setenv("MAIL_PORT", "")

    with pytest.raises(ConfigurationError, match=r"^MAIL_HOST is not set$"):
        load(Mail)


def test_a_malformed_value_is_named_and_not_shown(complete: pytest.MonkeyPatch) -> None:
    complete.setenv("MAIL_PORT", VALUE)

    with pytest.raises(ConfigurationError) as refusal:
        load(Mail)

    assert str(refusal.value).startswith("MAIL_PORT: ")
    assert VALUE not in str(refusal.value)
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


def test_an_alias_is_read_and_the_first_name_wins(complete: pytest.MonkeyPatch) -> None:
    complete.setenv("Smtp__Sender", "seed@farm.test")
    assert load(Mail).mail_sender == "seed@farm.test"

    settings.forget()
    complete.setenv("MAIL_SENDER", "ours@farm.test")
    assert load(Mail).mail_sender == "ours@farm.test"


def test_what_was_read_is_kept_until_forgotten(complete: pytest.MonkeyPatch) -> None:
    before = load(Mail)
    complete.setenv("MAIL_HOST", "elsewhere.test")

    assert load(Mail) is before
    settings.forget()
    assert load(Mail).mail_host == "elsewhere.test"


def test_a_failed_load_is_tried_again(complete: pytest.MonkeyPatch) -> None:
    complete.delenv("MAIL_HOST")
    with pytest.raises(ConfigurationError):
        load(Mail)
    complete.setenv("MAIL_HOST", "mail.test")

    assert load(Mail).mail_host == "mail.test"


def test_an_integration_without_settings_is_off_with_one_warning(log: Log) -> None:
    assert load_optional(Mail, "mail") is None
    assert load_optional(Mail, "mail") is None

    (warning,) = log.said("feature off")
    assert warning["level"] == "WARNING"
    assert warning["feature"] == "mail"
    assert "MAIL_HOST is not set" in warning["reason"]


def test_an_integration_with_settings_is_on(complete: pytest.MonkeyPatch, log: Log) -> None:
    mail = load_optional(Mail, "mail")

    assert mail is not None
    assert mail.mail_host == "mail.test"
    assert log.lines == []


def test_a_secret_is_read_from_secrets_manager(complete: pytest.MonkeyPatch, aws: None) -> None:
    made = boto3.client("secretsmanager").create_secret(Name="mail", SecretString=VALUE)
    complete.delenv("MAIL_PASSWORD")
    complete.setenv("MAIL_PASSWORD_SECRET_ARN", made["ARN"])

    assert load(Mail).mail_password == VALUE


def test_a_secret_is_read_from_an_encrypted_parameter(
    complete: pytest.MonkeyPatch, aws: None
) -> None:
    boto3.client("ssm").put_parameter(Name="/mail/password", Value=VALUE, Type="SecureString")
    complete.delenv("MAIL_PASSWORD")
    complete.setenv("MAIL_PASSWORD_PARAMETER", "/mail/password")

    assert load(Mail).mail_password == VALUE


def test_the_variable_itself_wins_over_a_secret(complete: pytest.MonkeyPatch) -> None:
    complete.setenv("MAIL_PASSWORD_SECRET_ARN", "arn:aws:secretsmanager:not-asked")

    assert load(Mail).mail_password == VALUE


def test_a_secret_is_asked_for_once_in_five_minutes(
    environment: pytest.MonkeyPatch, aws: None
) -> None:
    secrets = boto3.client("secretsmanager")
    made = secrets.create_secret(Name="mail", SecretString=VALUE)
    environment.setenv("MAIL_PASSWORD_SECRET_ARN", made["ARN"])
    assert lookup("MAIL_PASSWORD") == VALUE

    secrets.put_secret_value(SecretId="mail", SecretString="rotated")

    assert lookup("MAIL_PASSWORD") == VALUE
    settings.forget()
    assert lookup("MAIL_PASSWORD") == "rotated"


@pytest.mark.parametrize("kind", ["SECRET_ARN", "PARAMETER"])
def test_a_secret_that_cannot_be_read_is_unavailable_and_named_in_the_log(
    complete: pytest.MonkeyPatch, aws: None, log: Log, kind: str
) -> None:
    complete.delenv("MAIL_PASSWORD")
    complete.setenv(f"MAIL_PASSWORD_{kind}", "/absent")

    with pytest.raises(Unavailable) as refusal:
        load(Mail)

    assert "absent" not in refusal.value.message
    assert log.said("setting can't be read")[0]["place"] == "/absent"


def test_an_integration_whose_secret_cannot_be_read_is_off_until_it_can(
    complete: pytest.MonkeyPatch, aws: None
) -> None:
    complete.delenv("MAIL_PASSWORD")
    complete.setenv("MAIL_PASSWORD_PARAMETER", "/mail/password")
    assert load_optional(Mail, "mail") is None

    boto3.client("ssm").put_parameter(Name="/mail/password", Value=VALUE, Type="SecureString")

    mail = load_optional(Mail, "mail")
    assert mail is not None
    assert mail.mail_password == VALUE


# A secret that could be read once


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Secrets are then too old at once, and only the pause after a failure counts."""
    monkeypatch.setattr(settings, "SECRET_MAX_AGE_SECONDS", 0)
    return Clock.instead_of_time_in(settings, monkeypatch)


class Kept:
    """A secret or a parameter that can be changed and taken away."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def write(self, value: str) -> None:
        if self.kind == "PARAMETER":
            ssm = boto3.client("ssm")
            ssm.put_parameter(Name="/mail", Value=value, Type="SecureString", Overwrite=True)
        else:
            boto3.client("secretsmanager").create_secret(Name="/mail", SecretString=value)

    def remove(self) -> None:
        if self.kind == "PARAMETER":
            boto3.client("ssm").delete_parameter(Name="/mail")
        else:
            boto3.client("secretsmanager").delete_secret(
                SecretId="/mail", ForceDeleteWithoutRecovery=True
            )


@pytest.fixture(params=["SECRET_ARN", "PARAMETER"])
def kept(request: pytest.FixtureRequest, environment: pytest.MonkeyPatch, aws: None) -> Kept:
    environment.setenv(f"MAIL_PASSWORD_{request.param}", "/mail")
    return Kept(request.param)


def test_a_secret_that_can_no_longer_be_read_stays_as_it_was_and_is_tried_once_a_minute(
    kept: Kept, clock: Clock, log: Log
) -> None:
    kept.write(VALUE)
    assert lookup("MAIL_PASSWORD") == VALUE
    kept.remove()
    assert lookup("MAIL_PASSWORD") == VALUE
    (warning,) = log.said("setting can't be read anew")
    assert (warning["level"], warning["place"]) == ("WARNING", "/mail")
    assert VALUE not in log.text

    kept.write("rotated")
    clock.now += settings.RETRY_SECONDS - 1
    assert lookup("MAIL_PASSWORD") == VALUE
    assert len(log.said("setting can't be read anew")) == 1
    clock.now += 1
    assert lookup("MAIL_PASSWORD") == "rotated"


def test_a_secret_that_stays_away_is_tried_again_each_minute(
    kept: Kept, clock: Clock, log: Log
) -> None:
    kept.write(VALUE)
    lookup("MAIL_PASSWORD")
    kept.remove()
    for _ in range(3):
        assert [lookup("MAIL_PASSWORD") for _ in range(5)] == [VALUE] * 5
        clock.now += settings.RETRY_SECONDS
    assert len(log.said("setting can't be read anew")) == 3


def test_a_secret_that_was_refused_is_read_anew_and_other_settings_stay(
    complete: pytest.MonkeyPatch, kept: Kept
) -> None:
    complete.delenv("MAIL_PASSWORD")
    kept.write("first")
    before = load(Mail)
    kept.remove()
    kept.write("second")
    assert lookup("MAIL_PASSWORD") == "first"

    settings.forget_secrets()

    assert lookup("MAIL_PASSWORD") == "second"
    assert load(Mail) is before


def test_what_was_refused_is_read_anew_as_soon_as_it_can_be(kept: Kept, clock: Clock) -> None:
    kept.write(VALUE)
    lookup("MAIL_PASSWORD")
    kept.remove()
    settings.forget_secrets()
    # It can't be: one refused secret is no reason to lose all the others.
    assert lookup("MAIL_PASSWORD") == VALUE
    kept.write("rotated")
    settings.forget_secrets()
    assert lookup("MAIL_PASSWORD") == "rotated"


def test_what_is_made_once_is_made_again_when_forgotten() -> None:
    made: list[int] = []

    @settings.once
    def make(number: int) -> int:
        made.append(number)
        return number

    assert [make(1), make(1), make(2)] == [1, 1, 2]
    assert made == [1, 2]
    settings.forget_secrets()
    make(1)
    assert made == [1, 2]
    settings.forget()
    make(1)
    assert made == [1, 2, 1]
