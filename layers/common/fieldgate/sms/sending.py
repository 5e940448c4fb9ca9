"""Which provider a text goes to: the chosen one, and its fall-back while it fails."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, model_validator

from fieldgate.config import Settings, load, once
from fieldgate.observability import count, logger
from fieldgate.one_time_codes import OneTimeCodeSettings
from fieldgate.sms import (
    SentSms,
    SmsMisconfigured,
    SmsNotConfigured,
    SmsRefused,
    SmsSender,
    SmsUnavailable,
)
from fieldgate.sms.circuit_breaker import CircuitBreaker


def _name(text: str) -> str:
    """Take the seed's spelling, AfricasTalking, as well."""
    name = text.lower()
    return "africas_talking" if name == "africastalking" else name


class SmsSettings(Settings):
    """`log` writes texts to the log, codes readable: not for production."""

    environment: str = "unknown"
    sms_provider: Annotated[Literal["africas_talking", "sns", "log"], BeforeValidator(_name)] = (
        "africas_talking"
    )
    sms_fallback: Annotated[Literal["sns", "none"], BeforeValidator(_name)] = "none"

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.environment == "production" and self.sms_provider == "log":
            raise ValueError("SMS_PROVIDER=log is not for production")
        return self


class Sending:
    """A provider and, if there is one, its fall-back."""

    def __init__(self, primary: SmsSender, fallback: SmsSender | None = None) -> None:
        self._primary = primary
        self._fallback = fallback
        self._breaker = CircuitBreaker(f"sms:{primary.provider}")

    def send(self, phone: str, text: str) -> SentSms:
        """Send `text` (GSM 03.38, 160 characters) to `phone` (E.164), within 12 seconds.

        Raises:
            SmsRefused, SmsUnavailable, SmsMisconfigured: see there. An open circuit without a
                fall-back is SmsUnavailable at once.

        """
        if self._breaker.lets_through():
            try:
                return self._try_primary(phone, text)
            except SmsMisconfigured:
                if self._fallback is None:
                    raise
        elif self._fallback is None:
            raise SmsUnavailable("circuit_open")
        return _send(self._fallback, phone, text)

    def _try_primary(self, phone: str, text: str) -> SentSms:
        try:
            sent = _send(self._primary, phone, text)
        except SmsNotConfigured:
            raise
        except SmsRefused:
            self._breaker.succeeded()  # that was an answer
            raise
        except (SmsUnavailable, SmsMisconfigured):
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return sent


@once
def sending() -> Sending:
    """Return what this deployment sends texts by.

    Raises:
        ConfigurationError: the settings are wrong, or not for this environment.

    """
    settings = load(SmsSettings)
    if load(OneTimeCodeSettings).otp_dev_mode:
        return Sending(_sender("log"))
    return Sending(
        _sender(settings.sms_provider),
        _sender(settings.sms_fallback) if settings.sms_fallback != "none" else None,
    )


def _sender(provider: str) -> SmsSender:
    if provider == "africas_talking":
        from fieldgate.sms.africas_talking import AfricasTalkingSender

        return AfricasTalkingSender()
    if provider == "sns":
        from fieldgate.sms.sns import SnsSender

        return SnsSender()
    from fieldgate.sms.logging_sender import LoggingSender

    return LoggingSender()


def _send(sender: SmsSender, phone: str, text: str) -> SentSms:
    try:
        return SentSms(sender.provider, sender.send(phone, text))
    except SmsMisconfigured as error:
        about = {"provider": sender.provider, "reason": error.reason}
        logger().error("texts need somebody to act", extra=about)
        count("SmsAlarm")
        count("SmsAlarm", reason=error.reason)
        raise
