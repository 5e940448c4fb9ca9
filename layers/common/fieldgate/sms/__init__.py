"""Text messages behind a small Protocol: Africa's Talking, Amazon SNS, or the log.

A vendor's errors become one of ours here: the number's or the text's fault (`SmsRefused`), ours
(`SmsMisconfigured`), or worth another try (`SmsUnavailable`). None of them holds the text or the
number.
"""

from dataclasses import dataclass
from typing import Protocol


class SmsError(Exception):
    """A text was not sent, as far as one knows; `reason` is a stable word, fit for a log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class SmsRefused(SmsError):
    """This text to this number will never be sent; nothing is wrong with the provider."""


class SmsUnavailable(SmsError):
    """The provider can't now, or did not answer, and perhaps sent it: try again."""


class SmsNotReached(SmsUnavailable):
    """Nobody can have taken the text: there was no connection to hand it over by."""


class SmsLeftAlone(SmsUnavailable):
    """The provider has failed so often that it was not asked."""


class SmsMisconfigured(SmsError):
    """No text will be sent until somebody acts: balance, credentials, sender id, a hold."""


class SmsNotConfigured(SmsMisconfigured):
    """There are no credentials of the provider at all."""


class SmsSender(Protocol):
    """One provider; `provider` is its stable name."""

    provider: str

    def send(self, phone: str, text: str) -> str:
        """Hand one text to the provider, within 8 seconds.

        Args:
            phone: E.164.
            text: characters of GSM 03.38, 160 at most.

        Returns:
            The provider's id of the message, by which its delivery reports name it; "" for none.

        Raises:
            SmsRefused, SmsUnavailable, SmsMisconfigured: see there.

        """
        ...


@dataclass(frozen=True)
class SentSms:
    """Who took a text, and its id there; "" where it has none."""

    provider: str
    message_id: str
