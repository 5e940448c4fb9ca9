"""How signing in, texts, limits and repeated requests find their rows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel
from sqlalchemy import Connection, text

from fieldgate.db.engine import Database
from fieldgate.db.old_rows import delete_batch
from fieldgate.http.idempotency import IdempotentRequest
from fieldgate.sms import SentSms
from fieldgate.token_bucket import _SPEND_IN_POSTGRESQL
from identity import challenge_store, code_store, session_store, store
from identity.budgets import BudgetSettings, counters_of
from identity.challenge_store import NewChallenge, Registration
from identity.cleaning import OLD_ROWS
from identity.sessions import NewSession, RefreshToken, SessionSettings
from identity.store import User
from identity.tries import Try
from sms import store as sms_store
from tests.support.hot_queries import Hot, faults, page_of
from tests.support.million import ROWS, SESSIONS, person, phone, session

# Challenges of a week, a text each; two thirds of the codes came back. Twenty thousand people ask
# again and again.
CHALLENGES = (
    f"""INSERT INTO otp_challenges (id, phone, purpose, user_id, profile, created_at, expires_at,
        verified_at)
    SELECT made(n, at), phone(mod(n, 20000)), purpose,
        CASE WHEN purpose <> 'register' THEN person(mod(n, 20000)) END, 'mobile', at,
        at + interval '30 minutes', CASE WHEN mod(n, 3) > 0 THEN at END
    FROM generate_series(0, {ROWS - 1}) AS n, LATERAL (SELECT at(n, 7, now()) AS at,
        CASE mod(n, 10) WHEN 0 THEN 'register' WHEN 1 THEN 'second_factor' WHEN 2 THEN
            'password_reset' WHEN 3 THEN 'phone_change' ELSE 'login' END AS purpose) AS made""",
    """INSERT INTO registrations (challenge_id, name, password_hash)
    SELECT id, 'Grower', 'hash' FROM otp_challenges
    WHERE purpose = 'register' AND created_at > now() - interval '2 hours'""",
    f"""INSERT INTO sms_messages (id, challenge_id, phone, kind, state, sending_since, provider,
        provider_message_id, created_at, sent_at)
    SELECT made(n + {ROWS}, at), made(n, at), phone(mod(n, 20000)), 'code',
        CASE WHEN n > {ROWS} - 50 THEN CASE WHEN mod(n, 2) = 0 THEN 'queued' ELSE 'sending' END
            WHEN n > {ROWS} - 5000 THEN 'sent' WHEN mod(n, 50) = 3 THEN 'failed'
            ELSE 'delivered' END,
        at, 'africas_talking', 'ATXid_' || n, at, at
    FROM generate_series(0, {ROWS - 1}) AS n, LATERAL (SELECT at(n, 7, now()) AS at) AS made""",
    f"""INSERT INTO otp_phones (phone, sent_at, updated_at)
    SELECT phone(n), ARRAY[at(n, 2, now())], at(n, 2, now())
    FROM generate_series(0, {ROWS - 1}) AS n""",
    f"""INSERT INTO otp_counters (key, window_start, used)
    SELECT 'hour:ip:' || n, date_trunc('hour', at(n, 2, now())), 1
    FROM generate_series(0, {ROWS - 1}) AS n""",
)
REQUESTS = (
    f"""INSERT INTO idempotency_keys (scope, key_hash, request_hash, answer, created_at)
    SELECT 'POST /api/v1/media ' || person(whose(n)), sha256(int8send(n)), sha256(int8send(n)),
        '{{}}', at(n, 1, now())
    FROM generate_series(0, {ROWS - 1}) AS n""",
    f"""INSERT INTO rate_limits (key, full_at)
    SELECT 'limit:' || n, at(n, 1, now() + interval '20 hours')
    FROM generate_series(0, {ROWS - 1}) AS n""",
)
TABLES = (SESSIONS, *CHALLENGES, *REQUESTS)

LAST = ROWS - 1
SETTINGS = SessionSettings()
CODE: Any = {"max_attempts": 5, "max_failures": 10}
COUNTERS = [
    counter.key for counter in counters_of(BudgetSettings(), "login", phone(7), "KE", "192.0.2.7")
]


class Answer(BaseModel):
    """What a request with an Idempotency-Key is answered."""


@dataclass(frozen=True)
class Sent:
    """A challenge that can still be answered."""

    id: UUID
    phone: str
    user_id: UUID


def last(connection: Connection, purpose: str) -> Sent:
    """Return the latest challenge that nobody has answered yet, of an active user."""
    row = connection.execute(
        text("""
            SELECT otp_challenges.id, otp_challenges.phone, user_id FROM otp_challenges
            WHERE purpose = :purpose AND verified_at IS NULL ORDER BY created_at DESC LIMIT 1"""),
        {"purpose": purpose},
    ).one()
    return Sent(*row)


def attempt(challenge: Sent, purpose: str) -> Try:
    return Try(challenge.id, True, {}, [purpose], **CODE)


def session_of(profile: Any = "mobile") -> NewSession:
    return NewSession(RefreshToken.first(uuid4()), profile, SETTINGS)


def open_challenge(connection: Connection, purpose: str, user_id: UUID | None) -> None:
    registration = Registration("Grower", None, "hash") if purpose == "register" else None
    new = NewChallenge(
        *(uuid4(), phone(7), purpose, user_id, timedelta(minutes=10), registration, None)
    )
    challenge_store.open_challenge(connection, new, COUNTERS)


def send_again(connection: Connection) -> None:
    challenge = last(connection, "login")
    more = {"max_attempts": 5, "max_sends": 3}
    challenge_store.send_again(connection, challenge.id, challenge.phone, COUNTERS, **more)


def find_open(connection: Connection) -> None:
    assert challenge_store.find_open(connection, last(connection, "login").id, 5)


def find_open_second_factor(connection: Connection) -> None:
    user_id = last(connection, "second_factor").user_id
    assert challenge_store.find_open_second_factor(connection, user_id, 5)


def sign_in(connection: Connection, purpose: str) -> None:
    challenge = last(connection, purpose)
    done = code_store.sign_in(connection, attempt(challenge, purpose), session_of(), "farmer")
    assert done.tried.won


def change_phone(connection: Connection) -> None:
    challenge = last(connection, "phone_change")
    session_id = connection.scalar(
        text("SELECT id FROM sessions WHERE user_id = :id AND ended_at IS NULL LIMIT 1"),
        {"id": challenge.user_id},
    )
    assert session_id
    code_store.change_phone(connection, attempt(challenge, "phone_change"), session_id)


def set_password(connection: Connection) -> None:
    challenge = last(connection, "password_reset")
    code_store.try_for_password(connection, attempt(challenge, "password_reset"))
    code_store.set_password(connection, challenge.user_id, challenge.phone, "another")


def with_user(use: Callable[[Connection, User], object]) -> Callable[[Connection], object]:
    def run(connection: Connection) -> object:
        user = store.find_by_id(connection, person(7))
        assert user is not None
        return use(connection, user)

    return run


def refresh(connection: Connection) -> None:
    token = RefreshToken.first(session(LAST))
    assert session_store.refresh_session(connection, token, SETTINGS)


def with_text(
    use: Callable[[Connection, sms_store.ClaimedSms], object],
) -> Callable[[Connection], object]:
    """Return what claims a text that waits, and uses it."""

    def run(connection: Connection) -> object:
        waiting = text("SELECT id FROM sms_messages WHERE state = 'queued' LIMIT 1")
        claimed = sms_store.claim(connection, connection.execute(waiting).scalar_one())
        assert claimed is not None
        return use(connection, claimed)

    return run


def repeat(connection: Connection) -> None:
    request = IdempotentRequest(f"POST /api/v1/media {person(7)}", "a-new-key", b"digest")
    request._once(connection, lambda _: Answer(), Answer)


def spend(connection: Connection) -> None:
    values = {
        "key": "limit:7",
        "interval": timedelta(seconds=1),
        "capacity": timedelta(minutes=1),
    }
    connection.execute(text(_SPEND_IN_POSTGRESQL), values)


def people(role: str | None, status: str | None) -> Hot:
    return page_of(lambda c: store.find_page(c, role, status, 20, 0))


def people_with(role: str) -> Hot:
    why = "an admin's page: the newest people are looked at until twenty have the role"
    return Hot(lambda c: store.find_page(c, role, None, 20, 0), most_rows=60_000, why=why)


def blocked_agents() -> Hot:
    # How rare the blocked are, a sample of the table says, by chance.
    why = "an admin's page: goes by the blocked or by the agents, whichever look fewer"
    return Hot(lambda c: store.find_page(c, "agent", "blocked", 20, 0), most_rows=110_000, why=why)


QUERIES: dict[str, Hot] = {
    "identity.store.find_by_phone": Hot(lambda c: store.find_by_phone(c, phone(7))),
    "identity.store.find_by_email": Hot(lambda c: store.find_by_email(c, "P7@farm.example")),
    "identity.store.find_by_id": Hot(lambda c: store.find_by_id(c, person(7))),
    "identity.store.find_page": people(None, None),
    "identity.store.find_page, of a role": people_with("warehouse_manager"),
    "identity.store.find_page, of a common role": people_with("farmer"),
    "identity.store.find_page, of a rare role": people("admin", None),
    "identity.store.find_page, of a rare status": people(None, "pending"),
    "identity.store.find_page, of a common status": people(None, "active"),
    "identity.store.find_page, of both": blocked_agents(),
    "identity.store.lock_password": Hot(with_user(store.lock_password)),
    "identity.store.replace_password_hash": Hot(
        with_user(lambda c, user: store.replace_password_hash(c, user, "another"))
    ),
    "identity.store.set_status": Hot(lambda c: store.set_status(c, person(7), "blocked")),
    "identity.store.lock_roles": Hot(store.lock_roles),
    "identity.store.is_last_admin": Hot(
        lambda c: store.is_last_admin(c, store.find_by_id(c, person(0)))  # type: ignore[arg-type]
    ),
    "identity.store.change_roles": Hot(
        lambda c: store.change_roles(c, person(7), taken={"warehouse_manager"}, given={"agent"})
    ),
    "identity.session_store.start_session": Hot(
        lambda c: session_store.start_session(c, person(0), session_of())
    ),
    "identity.session_store.refresh_session": Hot(refresh),
    "identity.session_store.end_sessions": Hot(
        lambda c: session_store.end_sessions(c, person(2), "logged_out")
    ),
    "identity.session_store.end_sessions, one": Hot(
        lambda c: session_store.end_sessions(c, person(7), "logged_out", only=session(7))
    ),
    "identity.session_store.find_with_session": Hot(
        lambda c: session_store.find_with_session(c, person(7), session(7))
    ),
    "identity.session_store.set_two_factor": Hot(
        lambda c: session_store.set_two_factor(c, person(7), session(7), enabled=True)
    ),
    "identity.challenge_store.open_challenge": Hot(
        partial(open_challenge, purpose="login", user_id=None)
    ),
    "identity.challenge_store.open_challenge, of a user": Hot(
        partial(open_challenge, purpose="second_factor", user_id=person(7))
    ),
    "identity.challenge_store.open_challenge, to register": Hot(
        partial(open_challenge, purpose="register", user_id=None)
    ),
    "identity.challenge_store.send_again": Hot(send_again),
    "identity.challenge_store.find_open": Hot(find_open),
    "identity.challenge_store.find_open_second_factor": Hot(find_open_second_factor),
    "identity.code_store.sign_in": Hot(partial(sign_in, purpose="login")),
    "identity.code_store.sign_in, by the second factor": Hot(
        partial(sign_in, purpose="second_factor")
    ),
    "identity.code_store.change_phone": Hot(change_phone),
    "identity.code_store.try_for_password": Hot(set_password),
    "identity.code_store.set_password": Hot(set_password),
    **{
        f"identity.cleaning.{table}": Hot(partial(delete_batch, table=table, old=old))
        for table, old in OLD_ROWS.items()
    },
    "sms.store.claim": Hot(with_text(lambda _c, _text: None)),
    "sms.store.record_sent": Hot(
        with_text(lambda c, claimed: sms_store.record_sent(c, claimed, SentSms("log", "1")))
    ),
    "sms.store.record_failed": Hot(
        with_text(lambda c, claimed: sms_store.record_failed(c, claimed, "refused"))
    ),
    "sms.store.give_back": Hot(
        with_text(lambda c, claimed: sms_store.give_back(c, claimed, "timeout"))
    ),
    "sms.store.record_delivery": Hot(
        lambda c: sms_store.record_delivery(
            c, f"ATXid_{LAST - 100}", phone(LAST - 100), "delivered", None
        )
    ),
    "sms.store.expire": Hot(sms_store.expire),
    "sms.store.find_overdue": Hot(lambda c: sms_store.find_overdue(c, 1000)),
    "sms.store.conversion": Hot(
        sms_store.conversion, most_rows=10_000, why="counts the codes of an hour: 5,952 here"
    ),
    "fieldgate.http.idempotency": Hot(repeat),
    "fieldgate.token_bucket": Hot(spend),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_finds_its_rows_among_a_million(full: Database, name: str) -> None:
    assert faults(full, QUERIES[name]) == []
