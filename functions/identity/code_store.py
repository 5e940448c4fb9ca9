"""Every query about checking one-time codes, in SQL as it is sent.

As in `challenge_store` each decision is one statement whose parts see one snapshot, what may have
changed is met on locked rows, and locks are taken in the same order: phone, challenge, user,
session.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from identity.challenge_store import IS_OPEN
from identity.session_store import STARTED, TO_BE_ENDED, start_parameters
from identity.sessions import NewSession
from identity.store import User
from identity.tries import Tried, Try

# One try of a code. `gate` locks the phone, so that the checks of all its challenges come one after
# another; whether the code is right was found out before, in constant time, and is only read here.
_TRIED = f"""
    gate AS (
        SELECT challenge.id, challenge.phone, challenge.purpose, challenge.user_id,
            challenge.profile, ARRAY(
                SELECT at FROM unnest(known.failed_at) AS at WHERE at > now() - interval '1 day'
            ) AS failed_at,
            coalesce(
                CAST(CAST(:right_by_phone AS jsonb) ->> challenge.phone AS boolean),
                CAST(:right AS boolean)
            ) AND challenge.purpose = ANY (CAST(:purposes AS text[]))
            AND (challenge.user_id IS NOT NULL OR registration.challenge_id IS NOT NULL)
            AND (CAST(:caller_id AS uuid) IS NULL OR challenge.user_id = CAST(:caller_id AS uuid))
            AS wins
        FROM otp_challenges AS challenge
        JOIN otp_phones AS known ON known.phone = challenge.phone
        LEFT JOIN registrations AS registration ON registration.challenge_id = challenge.id
        WHERE challenge.id = CAST(:id AS uuid)
        FOR UPDATE OF known
    ),
    tried AS (
        UPDATE otp_challenges AS challenge
        SET attempts = challenge.attempts + 1, verified_at = CASE WHEN gate.wins THEN now() END
        FROM gate
        WHERE challenge.id = gate.id AND cardinality(gate.failed_at) < :max_failures
            AND {IS_OPEN}
        RETURNING challenge.id, challenge.phone, challenge.user_id,
            challenge.verified_at IS NOT NULL AS won
    ),
    failed AS (
        UPDATE otp_phones AS known SET failed_at = gate.failed_at || now(), updated_at = now()
        FROM tried, gate
        WHERE known.phone = gate.phone AND NOT tried.won
    )"""  # noqa: S608 made of constants
_TRY_COLUMNS = """
    now() AS now, gate.failed_at, gate.purpose,
    tried.id IS NOT NULL AS compared, coalesce(tried.won, false) AS won"""
_TRY_TABLES = "(SELECT) AS one LEFT JOIN gate ON true LEFT JOIN tried ON true"

# Giving a role raises the version of the user's permissions (trigger), after the statement: hence
# the sum. Of a user who was waited for, the version must be as old as the roles are.
_SIGN_IN = f"""
    WITH {_TRIED},
    created AS (
        INSERT INTO users (phone, name, email, password_hash)
        SELECT tried.phone, registration.name, CASE WHEN NOT EXISTS (
                SELECT FROM users WHERE lower(email) = lower(registration.email)
            ) THEN registration.email END, registration.password_hash
        FROM tried JOIN registrations AS registration ON registration.challenge_id = tried.id
        WHERE tried.won
        ON CONFLICT (phone) DO NOTHING
        RETURNING *
    ),
    granted AS (
        INSERT INTO user_roles (user_id, role)
        SELECT id, CAST(:registration_role AS text) FROM created
        RETURNING user_id, role
    ),
    owner AS (
        SELECT person.* FROM tried JOIN users AS person ON person.id = tried.user_id
        WHERE tried.won FOR SHARE OF person
    ),
    winner AS (
        SELECT * FROM created
        UNION ALL
        SELECT owner.* FROM owner, gate
        WHERE owner.phone = gate.phone AND owner.status = 'active'
            -- Two factors may have been asked for since the code was sent.
            AND (gate.purpose = 'second_factor' OR NOT owner.two_factor_enabled)
    ),
    roles AS (
        SELECT role FROM user_roles WHERE user_id = (SELECT id FROM winner)
        UNION ALL SELECT role FROM granted
    ),
    beginning AS (
        SELECT winner.id AS user_id,
            coalesce(CAST(:profile AS text), gate.profile, 'web') AS profile
        FROM winner, gate
    ),
    {STARTED}
    SELECT {_TRY_COLUMNS}, (SELECT status FROM owner) AS owner_status, winner.id, winner.name,
        winner.phone, winner.email, winner.status, winner.two_factor_enabled, winner.created_at,
        coalesce(
            (SELECT permission_version FROM users AS seen WHERE seen.id = winner.id),
            winner.permission_version + (SELECT count(*) FROM granted)) AS permission_version,
        ARRAY(SELECT role FROM roles ORDER BY role) AS roles,
        ARRAY(SELECT DISTINCT permission FROM role_permissions JOIN roles USING (role))
            AS permissions
    FROM {_TRY_TABLES} LEFT JOIN winner ON true"""  # noqa: S608 made of constants

_CHANGE_PHONE = f"""
    WITH {_TRIED},
    owner AS (
        SELECT person.id FROM tried JOIN users AS person ON person.id = tried.user_id
        WHERE tried.won AND person.status = 'active'
        -- The whole lock at once: a phone is a key, and raising a lesser one would wait for
        -- sign-ins that wait for this.
        FOR UPDATE OF person
    ),
    -- Locked after the user, as where sessions end: who ended it meanwhile was waited for.
    acting AS (
        SELECT owner.id FROM owner JOIN sessions AS session ON session.user_id = owner.id
        WHERE session.id = CAST(:session_id AS uuid)
            AND session.ended_at IS NULL AND session.expires_at > now()
        FOR SHARE OF session
    ),
    changed AS (
        UPDATE users SET phone = tried.phone FROM acting, tried
        WHERE users.id = acting.id
        RETURNING old.phone AS old_phone, new.phone AS new_phone
    ),
    -- Who had the phone until now is told, lest it was not they.
    message AS (
        INSERT INTO sms_messages (challenge_id, phone, kind)
        SELECT tried.id, changed.old_phone, 'phone_changed' FROM changed, tried
        WHERE changed.old_phone <> changed.new_phone
        RETURNING id
    )
    SELECT {_TRY_COLUMNS}, EXISTS (SELECT FROM changed) AS changed,
        (SELECT id FROM message) AS message_id
    FROM {_TRY_TABLES}"""  # noqa: S608 made of constants

# Locks the user, so that the statement after it sees every session that was begun before, and who
# signs in meanwhile by the old password waits and is refused.
_TRY_FOR_PASSWORD = f"""
    WITH {_TRIED},
    owner AS (
        SELECT person.id FROM tried JOIN users AS person ON person.id = tried.user_id
        WHERE tried.won FOR NO KEY UPDATE OF person
    )
    SELECT {_TRY_COLUMNS}, (SELECT id FROM owner) AS user_id, tried.phone
    FROM {_TRY_TABLES}"""  # noqa: S608 made of constants

_REPLACE_HASH = f"""
    WITH changed AS (
        UPDATE users SET password_hash = :password_hash
        WHERE id = CAST(:user_id AS uuid) AND phone = :phone AND status = 'active'
        RETURNING id
    ),
    -- Who proved the old password has not proved this one. Their phone is locked by the try.
    voided AS (
        UPDATE otp_challenges SET expires_at = now()
        FROM changed
        WHERE otp_challenges.user_id = changed.id AND otp_challenges.phone = :phone
            AND otp_challenges.verified_at IS NULL AND otp_challenges.expires_at > now()
    ),
    ended AS (
        UPDATE sessions SET ended_at = now(), end_reason = 'password_changed'
        FROM changed
        WHERE sessions.user_id = changed.id AND {TO_BE_ENDED}
        RETURNING sessions.id
    )
    SELECT EXISTS (SELECT FROM changed) AS changed,
        ARRAY(SELECT id FROM ended) AS ended"""  # noqa: S608 made of constants


@dataclass(frozen=True)
class PhoneChange:
    """Whether the phone `changed`; `message_id` is the text to send to the one before."""

    tried: Tried
    changed: bool
    message_id: UUID | None


@dataclass(frozen=True)
class SignedIn:
    """`user` has the session, if any; `owner_status` is that of the user the challenge was for."""

    tried: Tried
    user: User | None
    owner_status: str | None


def sign_in(
    connection: Connection, attempt: Try, session: NewSession, registration_role: str
) -> SignedIn:
    """Check the code, and if it is right make the account it is for, or find it, and a session.

    Raises:
        sqlalchemy.exc.IntegrityError: the registration's e-mail was taken at this moment.

    """
    row = _one(
        connection,
        _SIGN_IN,
        attempt,
        registration_role=registration_role,
        **start_parameters(session),
    )
    columns = User.__dataclass_fields__.keys() - {"password_hash"}
    user = User(**{name: row[name] for name in columns}, password_hash=None) if row["id"] else None
    return SignedIn(_tried(row), user, row["owner_status"])


def change_phone(connection: Connection, attempt: Try, session_id: UUID) -> PhoneChange:
    """Check the code, and if it is right give its user the challenge's phone.

    Only an active user, and while that session of theirs is alive.

    Raises:
        sqlalchemy.exc.IntegrityError: another user has it.

    """
    row = _one(connection, _CHANGE_PHONE, attempt, session_id=session_id)
    return PhoneChange(_tried(row), row["changed"], row["message_id"])


def try_for_password(connection: Connection, attempt: Try) -> tuple[Tried, UUID | None, str | None]:
    """Check the code; return whose password it may replace, and the phone that was proved."""
    row = _one(connection, _TRY_FOR_PASSWORD, attempt)
    return _tried(row), row["user_id"], row["phone"]


def set_password(
    connection: Connection, user_id: UUID, phone: str, password_hash: str
) -> list[UUID] | None:
    """Replace the password of an active user with that phone still, and end every session.

    Returns the sessions that were alive, or None when there is no such user.
    """
    row = connection.execute(
        text(_REPLACE_HASH),
        {"user_id": user_id, "phone": phone, "password_hash": password_hash},
    ).one()
    return list(row.ended) if row.changed else None


def _one(connection: Connection, statement: str, attempt: Try, **more: Any) -> RowMapping:
    return connection.execute(text(statement), attempt.parameters | more).mappings().one()


def _tried(row: RowMapping) -> Tried:
    return Tried(**{name: row[name] for name in Tried.__dataclass_fields__})
