"""Every query about sending one-time codes, in SQL as it is sent (for checking: code_store).

Each decision that can be raced is one statement. Its parts see one snapshot of the database, so
what others change meanwhile must be met on a locked row: in INSERT ... ON CONFLICT DO UPDATE, in
UPDATE ... WHERE, and in SELECT ... FOR UPDATE, which all read the row anew once they have its lock.

Locks are taken in one order, so that nobody waits in a circle: the phone's row, the counters as
listed, the challenge, the user. Each part draws its rows from the part before for that reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, text

from identity.budgets import IP_KEY_START

# Spends a text's budgets. RETURNING old is what was used before, read under the row's lock; what
# is more than allowed, the caller rolls back.
_SPENT = """
    phone_spent AS (
        INSERT INTO otp_phones AS known (phone, sent_at) VALUES (:phone, ARRAY[now()])
        ON CONFLICT (phone) DO UPDATE SET
            sent_at = ARRAY(
                SELECT at FROM unnest(known.sent_at) AS at
                WHERE at > now() - interval '1 day') || now(),
            updated_at = now()
        RETURNING coalesce(old.sent_at, '{}') AS sent_at
    ),
    counters_spent AS (
        INSERT INTO otp_counters AS counter (key, window_start, used)
        SELECT key, date_trunc(split_part(key, ':', 1), now(), 'UTC'),
            -- A text that nobody gets costs nothing, but asking for it does.
            CASE WHEN wanted.kind IS NULL AND NOT starts_with(key, :ip_key_start)
                THEN 0 ELSE 1 END
        FROM phone_spent, wanted,
            unnest(CAST(:keys AS text[])) WITH ORDINALITY AS listed (key, place)
        ORDER BY place
        ON CONFLICT (key, window_start) DO UPDATE SET used = counter.used + excluded.used
        RETURNING key, coalesce(old.used, 0) AS used
    ),
    budgets AS (
        SELECT (SELECT sent_at FROM phone_spent) AS sent_at,
            (SELECT jsonb_object_agg(key, used) FROM counters_spent) AS used
    )"""

# The end of a statement: has the text of its `challenge` sent, if it is `wanted`, and tells.
_TEXTED = """
    message AS (
        INSERT INTO sms_messages (challenge_id, phone, kind)
        SELECT challenge.id, :phone, wanted.kind FROM challenge, wanted
        WHERE wanted.kind IS NOT NULL
        RETURNING id
    )
    SELECT now() AS now, budgets.sent_at, budgets.used, challenge.expires_at,
        (SELECT id FROM message) AS message_id
    FROM budgets LEFT JOIN challenge ON true"""

# What makes a row named `challenge` one that a code may be typed for.
IS_OPEN = """challenge.verified_at IS NULL AND challenge.attempts < :max_attempts
            AND challenge.expires_at > now()"""

# One of `owners_phone` and `user_id` is null. `wanted` decides who is texted what; for a number
# that nobody has, all else is done as for any other, so that neither answer nor time tell.
_OPEN = f"""
    WITH wanted AS (
        SELECT person.id AS user_id, CASE
            WHEN :purpose = 'register' AND person.id IS NULL THEN 'code'
            WHEN :purpose = 'register' THEN 'already_registered'
            WHEN person.status IS DISTINCT FROM 'active' THEN NULL
            WHEN :purpose = 'login' AND person.two_factor_enabled THEN 'password_first'
            ELSE 'code' END AS kind
        FROM (SELECT) AS one LEFT JOIN users AS person
            ON person.phone = :owners_phone OR person.id = CAST(:user_id AS uuid)
    ),
    {_SPENT},
    challenge AS (
        INSERT INTO otp_challenges (id, phone, purpose, user_id, profile, expires_at)
        SELECT CAST(:id AS uuid), :phone, :purpose,
            CASE WHEN wanted.kind = 'code' THEN wanted.user_id END,
            :profile, now() + CAST(:lifetime AS interval)
        FROM budgets, wanted
        RETURNING id, expires_at
    ),
    registration AS (
        INSERT INTO registrations (challenge_id, name, email, password_hash)
        SELECT challenge.id, :name, :email, :password_hash FROM challenge, wanted
        WHERE :purpose = 'register' AND wanted.kind = 'code'
    ),
    {_TEXTED}"""  # noqa: S608 made of constants

_RESEND = f"""
    WITH wanted AS (
        SELECT min(kind) AS kind FROM sms_messages WHERE challenge_id = CAST(:id AS uuid)
    ),
    {_SPENT},
    challenge AS (
        UPDATE otp_challenges AS challenge SET sends = challenge.sends + 1
        FROM budgets
        WHERE challenge.id = CAST(:id AS uuid) AND challenge.sends < :max_sends AND {IS_OPEN}
        RETURNING challenge.id, challenge.expires_at
    ),
    {_TEXTED}"""  # noqa: S608 made of constants

_OPEN_STILL = f"""
    SELECT phone, purpose, sends, expires_at, now() AS now FROM otp_challenges AS challenge
    WHERE id = CAST(:id AS uuid) AND {IS_OPEN}"""  # noqa: S608 made of constants

# Of the number that the user has now, as only that can be answered for. With the number's times:
# they say when its next text is allowed.
_OPEN_SECOND_FACTOR = f"""
    SELECT challenge.id, challenge.expires_at, phone.sent_at, now() AS now
    FROM users JOIN otp_challenges AS challenge
        ON challenge.user_id = users.id AND challenge.phone = users.phone
    JOIN otp_phones AS phone ON phone.phone = users.phone
    WHERE users.id = CAST(:user_id AS uuid) AND challenge.purpose = 'second_factor'
        AND {IS_OPEN}
    ORDER BY challenge.created_at DESC LIMIT 1"""  # noqa: S608 made of constants


@dataclass(frozen=True)
class Registration:
    """What becomes a user once the number is proved."""

    name: str
    email: str | None
    password_hash: str = field(repr=False)


@dataclass(frozen=True)
class NewChallenge:
    """`user_id` is whose it is, where that doesn't follow from `phone` (E.164)."""

    id: UUID
    phone: str
    purpose: str
    user_id: UUID | None
    lifetime: timedelta
    registration: Registration | None
    profile: str | None


@dataclass(frozen=True)
class Spent:
    """What a text spent: how much was used before it, by counter, and when the phone got others.

    `expires_at` is null when there was no such challenge to send again.
    """

    now: datetime
    sent_at: Sequence[datetime]
    used: Mapping[str, int]
    expires_at: datetime | None
    message_id: UUID | None


@dataclass(frozen=True)
class OpenStill:
    """A challenge that a code may still be sent for."""

    phone: str
    purpose: str
    sends: int
    expires_at: datetime
    now: datetime


@dataclass(frozen=True)
class OpenSecondFactor:
    """A second factor that can be answered, and when its phone got texts."""

    id: UUID
    expires_at: datetime
    sent_at: Sequence[datetime]
    now: datetime


def open_challenge(
    connection: Connection, challenge: NewChallenge, counters: Sequence[str]
) -> Spent:
    """Spend the budgets and open a challenge, for its user or else for who has its phone.

    What was spent too much is for the caller to judge, and to roll back.
    """
    registration = challenge.registration
    row = connection.execute(
        text(_OPEN),
        {
            "id": challenge.id,
            "phone": challenge.phone,
            "purpose": challenge.purpose,
            "user_id": challenge.user_id,
            "owners_phone": None if challenge.user_id else challenge.phone,
            "profile": challenge.profile,
            "lifetime": challenge.lifetime,
            "keys": list(counters),
            "ip_key_start": IP_KEY_START,
            "name": registration and registration.name,
            "email": registration and registration.email,
            "password_hash": registration and registration.password_hash,
        },
    ).mappings()
    return Spent(**row.one())


def find_open(connection: Connection, challenge_id: UUID, max_attempts: int) -> OpenStill | None:
    row = connection.execute(
        text(_OPEN_STILL), {"id": challenge_id, "max_attempts": max_attempts}
    ).mappings()
    found = row.one_or_none()
    return OpenStill(**found) if found else None


def find_open_second_factor(
    connection: Connection, user_id: UUID, max_attempts: int
) -> OpenSecondFactor | None:
    row = connection.execute(
        text(_OPEN_SECOND_FACTOR), {"user_id": user_id, "max_attempts": max_attempts}
    ).mappings()
    found = row.one_or_none()
    return OpenSecondFactor(**found) if found else None


def send_again(
    connection: Connection,
    challenge_id: UUID,
    phone: str,
    counters: Sequence[str],
    *,
    max_attempts: int,
    max_sends: int,
) -> Spent:
    """Spend the budgets and have the challenge's text sent once more, if it is open still."""
    row = connection.execute(
        text(_RESEND),
        {
            "id": challenge_id,
            "phone": phone,
            "max_attempts": max_attempts,
            "max_sends": max_sends,
            "keys": list(counters),
            "ip_key_start": IP_KEY_START,
        },
    ).mappings()
    return Spent(**row.one())
