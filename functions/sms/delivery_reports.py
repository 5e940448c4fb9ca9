"""What Africa's Talking tells of a text (developers.africastalking.com/docs/sms/notifications).

Its reports bear no signature. Who knows the secret path may report, and what is reported changes
only a text that was handed over, under the id it got there and to the number it went to.
"""

import hmac
import re
from typing import Annotated, Self
from urllib.parse import parse_qsl

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from fieldgate.db.engine import Database
from fieldgate.errors import NotFound, ValidationFailed
from fieldgate.observability import count, logger
from fieldgate.settings import lookup, warn_feature_off
from sms import store

# Also that it fits a path as it is.
_SECRET = re.compile(r"[A-Za-z0-9_-]{16,128}")
_MAX_FIELDS = 20
# The final states; any other status tells nothing that we did not know.
_STATES = {
    "Success": "delivered",
    "Failed": "failed",
    "Rejected": "failed",
    "AbsentSubscriber": "failed",
    "Expired": "failed",
}
_REASON = re.compile(r"[A-Za-z0-9_ -]{1,64}")


# For the API's description: the body is read by hand.
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["id", "status", "phoneNumber"],
                    "properties": {
                        "id": {"type": "string", "pattern": "^[!-~]{1,128}$"},
                        "status": {"type": "string", "pattern": "^[A-Za-z]{1,32}$"},
                        "phoneNumber": {"type": "string", "pattern": "^[+ ]?[0-9]{5,15}$"},
                        "failureReason": {"type": "string"},
                    },
                }
            }
        },
    }
}


def _e164(phone: str) -> str:
    """Mend a plus that was not encoded, and so came as a space."""
    return f"+{phone.strip().removeprefix('+')}"


class DeliveryReport(BaseModel):
    """The fields of a report that we look at."""

    id: Annotated[str, Field(pattern=r"^[!-~]{1,128}$")]
    status: Annotated[str, Field(pattern=r"^[A-Za-z]{1,32}$")]
    phone_number: Annotated[
        str, Field(alias="phoneNumber", pattern=r"^[+ ]?[0-9]{5,15}$"), AfterValidator(_e164)
    ]
    failure_reason: Annotated[str, Field(alias="failureReason")] = ""

    @classmethod
    def read(cls, body: bytes) -> Self:
        """Read a form, application/x-www-form-urlencoded.

        Raises:
            ValidationFailed: this is no such report.

        """
        try:
            fields = parse_qsl(body.decode(), errors="strict", max_num_fields=_MAX_FIELDS)
            return cls.model_validate(dict(fields))
        except (ValidationError, ValueError):
            raise ValidationFailed("This is not a delivery report.") from None


def check_secret(given: str) -> None:
    """Let pass who knows the secret path.

    Raises:
        NotFound: the secret is another, or there is none.
        Unavailable: it can't be read.

    """
    secret = lookup("DELIVERY_REPORT_SECRET") or ""
    if not _SECRET.fullmatch(secret):
        why = "DELIVERY_REPORT_SECRET is not 16 to 128 of A-Z a-z 0-9 _ -"
        warn_feature_off("delivery reports", why)
        raise NotFound("There is nothing at this address.")
    if not hmac.compare_digest(given.encode(errors="replace"), secret.encode()):
        raise NotFound("There is nothing at this address.")


def record(database: Database, report: DeliveryReport) -> None:
    """Bring the text to the state reported, if that is a final one and it has none yet."""
    state = _STATES.get(report.status)
    if state is None:
        return
    reason = None
    if state == "failed":
        given = report.failure_reason
        reason = given if _REASON.fullmatch(given) else report.status
    changed = database.transact(
        lambda connection: store.record_delivery(
            connection, report.id, report.phone_number, state, reason
        )
    )
    if changed:
        logger().info("text reported", extra={"state": state, "reason": reason})
        count("SmsReported", state=state)
    else:
        logger().info("report changes nothing")
