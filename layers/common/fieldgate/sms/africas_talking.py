"""Texts by Africa's Talking, through its SDK (developers.africastalking.com/docs/sms/sending/bulk).

The SDK gives the provider's answer as `str` where its content type names a charset, raises with the
whole text of any answer but a 2xx, and never tries again by itself.
"""

import json
from typing import Any

from pydantic import Field

from fieldgate.settings import Settings, forget_secrets, load, lookup, warn_feature_off
from fieldgate.sms import (
    SmsError,
    SmsMisconfigured,
    SmsNotConfigured,
    SmsNotReached,
    SmsRefused,
    SmsUnavailable,
)

TIMEOUT_SECONDS = (2, 5)  # to connect, to answer

# What stands where a message has no id.
NO_ID = "None"
# What becomes of a text, by the status code of its recipient.
ACCEPTED = {100, 101, 102}  # processed, sent, queued
FAILURES: dict[int, tuple[type[SmsError], str]] = {
    401: (SmsMisconfigured, "RiskHold"),
    # Not sent again without the sender id: it would come from a number that nobody knows.
    402: (SmsMisconfigured, "InvalidSenderId"),
    403: (SmsRefused, "InvalidPhoneNumber"),
    404: (SmsRefused, "UnsupportedNumberType"),
    405: (SmsMisconfigured, "InsufficientBalance"),
    406: (SmsRefused, "UserInBlacklist"),
    # For good: it is the number's network that isn't reached. Taken for a fault of the provider,
    # three such numbers would move everybody's texts to the fall-back.
    407: (SmsRefused, "CouldNotRoute"),
    409: (SmsRefused, "DoNotDisturbRejection"),
    500: (SmsUnavailable, "InternalServerError"),
    501: (SmsUnavailable, "GatewayError"),
    502: (SmsUnavailable, "RejectedByGateway"),
}


class AfricasTalkingSettings(Settings):
    """`url` replaces the address of the provider's API: by a stand-in's, in the local stack."""

    username: str = Field("", validation_alias="AFRICAS_TALKING_USERNAME")
    sender_id: str = Field("", validation_alias="AFRICAS_TALKING_SENDER_ID")
    url: str = Field("", validation_alias="AFRICAS_TALKING_URL")


class AfricasTalkingSender:
    """`SmsSender` over the SDK. The API key is looked up for each text, since it may change."""

    provider = "africas_talking"

    def send(self, phone: str, text: str) -> str:
        from africastalking.Service import AfricasTalkingException
        from requests import RequestException

        settings = load(AfricasTalkingSettings)
        service = _service(settings)
        sender_id = settings.sender_id or None
        try:
            answer = service.send(text, [phone], sender_id, timeout=TIMEOUT_SECONDS)
        except RequestException as error:
            kind = SmsNotReached if _is_not_reached(error) else SmsUnavailable
            raise kind(type(error).__name__) from None
        except AfricasTalkingException as error:
            raise _refusal(str(error)) from None
        except ValueError:  # the SDK's own look at the number
            raise SmsRefused("InvalidPhoneNumber") from None
        return _message_id(answer)


def _service(settings: AfricasTalkingSettings) -> Any:
    from africastalking.SMS import SMSService

    api_key = lookup("AFRICAS_TALKING_API_KEY")
    if not (settings.username and api_key):
        warn_feature_off(
            "texts by Africa's Talking",
            "AFRICAS_TALKING_USERNAME or AFRICAS_TALKING_API_KEY is not set",
        )
        raise SmsNotConfigured("not_configured")
    service = SMSService(settings.username, api_key)
    if settings.url:
        service._baseUrl = f"{settings.url.rstrip('/')}/version1"
    return service


def _is_not_reached(error: Exception) -> bool:
    """Say whether there was no connection; one that broke may have carried the text."""
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    cause = error.args[0] if error.args else None
    return isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)


def _refusal(text: str) -> SmsError:
    """Read the text of an answer that is no 2xx; the SDK keeps its status to itself."""
    if "authentication is invalid" in text:
        forget_secrets()
        return SmsMisconfigured("authentication")
    return SmsUnavailable("not_taken")


def _message_id(answer: Any) -> str:
    """Return the provider's id of the one message that an answer is about, "" for none.

    Raises:
        SmsError: of the kind that the status code stands for.

    """
    try:
        data = (json.loads(answer) if isinstance(answer, str) else answer)["SMSMessageData"]
        if not data["Recipients"]:
            raise _nobody(data.get("Message"))
        (recipient,) = data["Recipients"]
        status = int(recipient["statusCode"])
        message_id = str(recipient["messageId"])
    except (ValueError, KeyError, TypeError, AttributeError):
        # It came with a 2xx, so perhaps it was sent.
        raise SmsUnavailable("answer_not_understood") from None
    if status in ACCEPTED:
        return "" if message_id == NO_ID else message_id
    kind, reason = FAILURES.get(status, (SmsUnavailable, "unknown_status"))
    raise kind(reason)


def _nobody(message: object) -> SmsError:
    """Say what an answer without recipients means: what it is about stands in its message."""
    known = {reason for _, reason in FAILURES.values()}
    return SmsMisconfigured(message if isinstance(message, str) and message in known else "Nobody")
