"""From a queued text to a sent one.

A text may be sent twice (a worker that was killed, an answer that never came), which is harmless:
it says the same. It is never sent by two workers at the same time, and never once it is too late.
"""

from contextlib import suppress
from dataclasses import replace
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from fieldgate import deadline
from fieldgate.db.engine import Database, violated_constraint
from fieldgate.errors import Unavailable
from fieldgate.observability import count, logger
from fieldgate.one_time_codes import code_for
from fieldgate.queues import PoisonMessage
from fieldgate.sms import SentSms, SmsError, SmsNotConfigured, SmsRefused
from fieldgate.sms.sending import Sending
from sms import store
from sms.store import ClaimedSms
from sms.texts import compose

# To write down what became of a text, of the reserve that `fieldgate.queues` keeps.
RECORD_SECONDS = 4


def deliver(database: Database, sending: Sending, body: str) -> None:
    """Send the text whose id a queued message holds; one that isn't there is done with.

    No transaction is open while the provider works.

    Raises:
        PoisonMessage: that is no id.
        Unavailable: try again later.

    """
    try:
        message_id = UUID(body)
    except ValueError:
        raise PoisonMessage("not the id of a text") from None
    claimed = database.transact(lambda connection: store.claim(connection, message_id))
    if claimed is None or claimed.state == "expired":
        # Among them those that were never there (see fieldgate.sms.waking).
        state = claimed.state if claimed else None
        logger().info("nothing to send", extra={"message_id": str(message_id), "state": state})
        return
    _send(database, sending, claimed)


def _send(database: Database, sending: Sending, claimed: ClaimedSms) -> None:
    try:
        sent = sending.send(claimed.phone, _text(claimed))
    except (SmsRefused, SmsNotConfigured) as error:
        reason = error.reason
        with deadline.within(RECORD_SECONDS):
            database.transact(lambda connection: store.record_failed(connection, claimed, reason))
        logger().warning("text failed", extra=_described(claimed) | {"reason": reason})
        count("SmsFailed")
        count("SmsFailed", reason=reason)
    except Exception as error:
        reason = error.reason if isinstance(error, SmsError) else type(error).__name__
        # If this fails as well, the sweep finds it when the lease is over.
        with suppress(Unavailable), deadline.within(RECORD_SECONDS):
            database.transact(lambda connection: store.give_back(connection, claimed, reason))
        raise Unavailable("The text could not be sent right now.") from error
    else:
        with deadline.within(RECORD_SECONDS):
            _record_sent(database, claimed, sent)
        logger().info("text sent", extra=_described(claimed) | {"provider": sent.provider})
        count("SmsSent")
        count("SmsSent", provider=sent.provider)


def _record_sent(database: Database, claimed: ClaimedSms, sent: SentSms) -> None:
    try:
        database.transact(lambda connection: store.record_sent(connection, claimed, sent))
    except IntegrityError as error:
        if violated_constraint(error) != "uq_sms_messages_provider_message_id":
            raise
        # It was sent, whatever the provider calls it. Not to say so would send it again.
        logger().warning("id of another text", extra={"message_id": str(claimed.id)})
        nameless = replace(sent, message_id="")
        database.transact(lambda connection: store.record_sent(connection, claimed, nameless))


def _text(claimed: ClaimedSms) -> str:
    code = code_for(claimed.challenge_id, claimed.phone) if claimed.kind == "code" else ""
    return compose(claimed.kind, code=code, seconds=claimed.expires_in.total_seconds())


def _described(claimed: ClaimedSms) -> dict[str, object]:
    return {
        "message_id": str(claimed.id),
        "kind": claimed.kind,
        "attempts": claimed.attempts,
    }
