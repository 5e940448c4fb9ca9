"""Every query about texts."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    exists,
    func,
    or_,
    select,
    text,
    update,
)

from fieldgate.db.tables.one_time_codes import otp_challenges, sms_messages
from fieldgate.sms import SentSms
from sms.texts import Kind

# A little more than the time-out of the function that sends: then it is gone.
LEASE = timedelta(seconds=70)
# A text that nobody has begun with for so long has lost its message.
OVERDUE = timedelta(seconds=30)
# How long after it was written a text that holds no code is still news.
NEWS_TIME = timedelta(days=1)
CONVERSION_WINDOW = timedelta(hours=1)
TYPING_TIME = timedelta(minutes=2)

_messages, _challenges = sms_messages.c, otp_challenges.c


@dataclass(frozen=True)
class ClaimedSms:
    """A text that is ours to send. `state` is `expired` when it is too late for it."""

    id: UUID
    challenge_id: UUID
    phone: str
    kind: Kind
    state: str
    attempts: int
    expires_in: timedelta


_CLAIMED = [name for name in ClaimedSms.__dataclass_fields__ if name in _messages]


def claim(connection: Connection, message_id: UUID) -> ClaimedSms | None:
    """Take a text to send it, alone, for `LEASE` at most; or put it away when it is too late.

    Returns None when there is no such text, it is done with, or another run has it.
    """
    over = _over()
    row = (
        connection.execute(
            update(sms_messages)
            .where(
                _messages.id == message_id,
                _messages.challenge_id == _challenges.id,
                or_(_messages.state == "queued", _abandoned()),
            )
            .values(
                state=case((over, "expired"), else_="sending"),
                finished_at=case((over, func.now())),
                sending_since=func.now(),
                attempts=_messages.attempts + 1,
            )
            .returning(
                *(_messages[name] for name in _CLAIMED),
                (_challenges.expires_at - func.now()).label("expires_in"),
            )
        )
        .mappings()
        .one_or_none()
    )
    return ClaimedSms(**row) if row else None


def record_sent(connection: Connection, claimed: ClaimedSms, sent: SentSms) -> None:
    """Mark as sent, by whom and as what."""
    _finish(
        connection,
        claimed,
        state="sent",
        provider=sent.provider,
        # None, where a provider gives no id: there may be many of those.
        provider_message_id=sent.message_id or None,
        failure=None,
        sent_at=func.now(),
    )


def record_failed(connection: Connection, claimed: ClaimedSms, reason: str) -> None:
    """Mark as failed for good."""
    _finish(connection, claimed, state="failed", failure=reason, finished_at=func.now())


def give_back(connection: Connection, claimed: ClaimedSms, reason: str) -> None:
    """Leave it to the next attempt."""
    _finish(connection, claimed, state="queued", failure=reason)


def record_delivery(
    connection: Connection, provider_message_id: str, phone: str, state: str, reason: str | None
) -> bool:
    """Bring a sent text to its final state, `delivered` or `failed`; False when there is none."""
    changed = connection.execute(
        update(sms_messages)
        .where(
            _messages.provider == "africas_talking",
            _messages.provider_message_id == provider_message_id,
            _messages.phone == phone,
            _messages.state == "sent",
        )
        .values(state=state, failure=reason, finished_at=func.now())
        .returning(_messages.id)
    )
    return changed.one_or_none() is not None


def expire(connection: Connection) -> int:
    """Put away the texts that it is too late for; returns how many."""
    expired = connection.execute(
        update(sms_messages)
        .where(
            _messages.challenge_id == _challenges.id,
            _over(),
            or_(_messages.state == "queued", _abandoned()),
        )
        .values(state="expired", finished_at=func.now())
        .returning(_messages.id)
    )
    return len(expired.all())


def find_overdue(connection: Connection, limit: int) -> list[UUID]:
    """Return the texts that no worker seems to know of: first those with codes, oldest first."""
    lost = and_(
        _messages.state == "queued",
        # What failed comes back by its own message, after a pause.
        func.coalesce(_messages.sending_since + (LEASE - OVERDUE), _messages.created_at)
        < func.now() - OVERDUE,
    )
    found = connection.scalars(
        select(_messages.id)
        .where(or_(lost, _abandoned()))
        .order_by(_messages.kind != "code", _messages.created_at)
        .limit(limit)
    )
    return list(found)


@dataclass(frozen=True)
class Conversion:
    """How many codes went to a place, and how many came back; `sent` is 1 or more.

    A place is what the numbers begin with, or their country.
    """

    place: str
    sent: int
    verified: int

    @property
    def percent(self) -> float:
        return 100 * self.verified / self.sent


def conversion(connection: Connection) -> list[Conversion]:
    """Count the codes of the last hour by the number without its last three digits.

    Those of the last minutes don't count yet: their receivers are still typing.
    """
    prefix = func.left(_challenges.phone, -3).label("prefix")
    was_sent = exists().where(
        _messages.challenge_id == _challenges.id,
        _messages.kind == "code",
        _messages.sent_at.is_not(None),
    )
    found = connection.execute(
        select(prefix, func.count().label("sent"), func.count(_challenges.verified_at))
        .where(
            _challenges.created_at > func.now() - CONVERSION_WINDOW,
            _challenges.created_at < func.now() - TYPING_TIME,
            was_sent,
        )
        .group_by(text("prefix"))
    )
    return [Conversion(*row) for row in found]


def _over() -> ColumnElement[bool]:
    useless = or_(_challenges.expires_at <= func.now(), _challenges.verified_at.is_not(None))
    return case(
        (_messages.kind == "code", useless),
        else_=_messages.created_at <= func.now() - NEWS_TIME,
    )


def _abandoned() -> ColumnElement[bool]:
    return and_(_messages.state == "sending", _messages.sending_since < func.now() - LEASE)


def _finish(connection: Connection, claimed: ClaimedSms, **values: Any) -> None:
    """Change what we claimed, unless another run has taken it since."""
    connection.execute(
        update(sms_messages)
        .where(
            _messages.id == claimed.id,
            _messages.state == "sending",
            _messages.attempts == claimed.attempts,
        )
        .values(**values)
    )
