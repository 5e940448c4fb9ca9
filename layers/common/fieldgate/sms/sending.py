"""Which provider a text goes to: the chosen one, and its fall-back while it fails."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, model_validator

from fieldgate.observability import count, logger
from fieldgate.one_time_codes import OneTimeCodeSettings
from fieldgate.resilience import CircuitOpen, Tries, Vendor
from fieldgate.settings import Settings, load, once
from fieldgate.sms import (
    SentSms,
    SmsLeftAlone,
    SmsMisconfigured,
    SmsNotConfigured,
    SmsNotReached,
    SmsRefused,
    SmsSender,
    SmsUnavailable,
)


def _name(text: str) -> str:
    """Take AfricasTalking, one word, as well."""
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


# A text is handed over once more where it can't have been taken, and that was known at once. Every
# other is left to the queue: one that was taken, and not answered, costs money again.
TRIES = Tries(on=(SmsNotReached,), attempts=2, seconds=0.5, longest_pause=0.2)


class Sending:
    """A provider and, if there is one, its fall-back."""

    def __init__(self, primary: SmsSender, fallback: SmsSender | None = None) -> None:
        self._primary = _Provider(primary)
        self._fallback = _Provider(fallback) if fallback else None

    def send(self, phone: str, text: str) -> SentSms:
        """Send `text` (GSM 03.38, 160 characters) to `phone` (E.164), within 12 seconds.

        Raises:
            SmsRefused, SmsUnavailable, SmsMisconfigured: see there. An open circuit without a
                fall-back is SmsUnavailable at once.

        """
        try:
            return self._primary.send(phone, text)
        except (SmsLeftAlone, SmsMisconfigured):
            if self._fallback is None:
                raise
        return self._fallback.send(phone, text)


class _Provider:
    """A sender, with its circuit and another try."""

    def __init__(self, sender: SmsSender) -> None:
        self._sender = sender
        self._vendor = Vendor(
            f"sms:{sender.provider}",
            TRIES,
            failures=(SmsUnavailable, SmsMisconfigured),
            answers=(SmsRefused,),
            uncalled=(SmsNotConfigured,),
        )

    def send(self, phone: str, text: str) -> SentSms:
        try:
            message_id = self._vendor.call(lambda: self._sender.send(phone, text))
        except CircuitOpen:
            raise SmsLeftAlone("circuit_open") from None
        except SmsMisconfigured as error:
            about = {"provider": self._sender.provider, "reason": error.reason}
            logger().error("texts need somebody to act", extra=about)
            count("SmsAlarm")
            count("SmsAlarm", reason=error.reason)
            raise
        return SentSms(self._sender.provider, message_id)


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
