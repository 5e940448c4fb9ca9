"""Notifications: how soon 10,000 people have one in their inbox, and how fast a worker pushes.

    python -m benchmarks.notifications [--runs 5] [--people 10000] [--pushed 2000]

A real PostgreSQL on this machine, with durable commits, and the functions themselves. Queueing is
one POST /notifications to everybody with a role, and what the worker does until all recipients are
written down. Pushing is the worker with firebase-admin against the stand-in of FCM, which takes
20 ms a message. Exit code 1 when a limit is broken: 5 s for 10,000 recipients, 200 messages a
second. Times are by the clock, the median of the runs.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from uuid import UUID, uuid4

from rich.console import Console
from sqlalchemy import Connection, text

from benchmarks.command_line import parser
from benchmarks.function_settings import PEPPER
from benchmarks.results import Comparison, Section, publish
from fieldgate import deadline, settings, tokens
from fieldgate.circuit_breaker import CircuitBreaker
from fieldgate.db import engine
from fieldgate.db.engine import Database
from fieldgate.db.migrate import migrate
from fieldgate.db.url import parse_url
from fieldgate.push.notifying import expand
from fieldgate.push.sending import pusher
from local.postgres import start_postgres
from push import delivery_store, send_notification
from push.delivering import deliver
from push.device_tokens import encrypt_token, hash_token
from tests.support.fcm import run_fcm
from tests.support.gateway import call, signed_in
from tests.support.ports import free_port

QUEUE_SECONDS = 5
MESSAGES_A_SECOND = 200
LATENCY_SECONDS = 0.02

_say = Console(stderr=True).print

_ADD_PEOPLE = """
    WITH added AS (
        INSERT INTO users (name, phone)
        SELECT 'Grower', '+2547' || lpad(CAST(number AS text), 8, '0')
        FROM generate_series(1, :number) AS number RETURNING id
    ),
    roles AS (
        INSERT INTO user_roles (user_id, role) SELECT id, 'farmer' FROM added
    )
    INSERT INTO sessions (user_id, profile, current_hash, expires_at)
    SELECT id, 'mobile', '', now() + interval '1 day' FROM added"""
_PEOPLE = "SELECT user_id, id FROM sessions ORDER BY id LIMIT :number"
_ADD_DEVICES = """
    INSERT INTO devices (user_id, session_id, token_hash, token, kind, platform)
    SELECT * FROM unnest(CAST(:users AS uuid[]), CAST(:sessions AS uuid[]),
        CAST(:hashes AS bytea[]), CAST(:tokens AS bytea[]))
    CROSS JOIN (VALUES ('token', 'android')) AS kind_and_platform"""


def main() -> int:
    options = _options()
    with _database() as database:
        admin = _prepare(database, options.people, options.pushed)
        queued = [_queue(database, admin, options.people) for _ in range(options.runs)]
        _forget(database)
        pushed = [_push(database, options.pushed) for _ in range(options.runs)]
    return publish(section(options, queued, pushed))


def _queue(database: Database, admin: UUID, people: int) -> tuple[float, float]:
    """Notify everybody; return the seconds to the answer, and until all have it."""
    began = time.perf_counter()
    answer = call(
        send_notification.handler,
        "POST",
        "/api/v1/notifications",
        content={"audience": {"roles": ["farmer"]}, "title": "Rain", "body": "Bring it in."},
        authorizer=signed_in(admin, permissions=["notifications:send"]),
    )
    answered = time.perf_counter() - began
    notification_id = UUID(answer.data["notificationId"])
    while _expanded(database, notification_id):
        pass
    seconds = time.perf_counter() - began
    count = text("SELECT count(*) FROM notification_recipients WHERE notification_id = :id")
    found = database.read(lambda connection: connection.scalar(count, {"id": notification_id}))
    assert found == people, f"{found} of {people} recipients"
    return answered, seconds


def _expanded(database: Database, notification_id: UUID) -> int:
    """Write down the next page, as the worker does when it is woken."""
    waiting = database.read(lambda connection: delivery_store.find_waiting(connection, 1))
    if not waiting.unexpanded:
        return 0
    return database.transact(lambda connection: expand(connection, notification_id))


def _push(database: Database, number: int) -> float:
    """Have the worker push to everybody who has a phone; return messages a second."""
    again = text("""
        INSERT INTO notification_recipients (notification_id, user_id)
        SELECT (SELECT id FROM notifications ORDER BY id LIMIT 1), user_id FROM devices
        ON CONFLICT (notification_id, user_id) DO UPDATE
        SET state = 'queued', due_at = now(), done_devices = '{}', sent = 0""")
    database.transact(lambda connection: connection.execute(again))
    began = time.perf_counter()
    with deadline.within(600), redirect_stdout(StringIO()):
        done = deliver(database, pusher(), CircuitBreaker(f"bench-{uuid4()}"), lambda _: None)
    seconds = time.perf_counter() - began
    assert done.recipients == done.messages == {"sent": number}, done  # one phone each
    return number / seconds


def _forget(database: Database) -> None:
    """Leave nothing due."""
    statement = text("UPDATE notification_recipients SET state = 'suppressed'")
    database.transact(lambda connection: connection.execute(statement))


def _prepare(database: Database, people: int, devices: int) -> UUID:
    def add(connection: Connection) -> UUID:
        connection.execute(text(_ADD_PEOPLE), {"number": people})
        rows = connection.execute(text(_PEOPLE), {"number": devices}).all()
        addresses = [f"bench-{place:05}-{'x' * 140}" for place in range(len(rows))]
        values = {
            "users": [row[0] for row in rows],
            "sessions": [row[1] for row in rows],
            "hashes": [hash_token(address) for address in addresses],
            "tokens": [encrypt_token(address) for address in addresses],
        }
        connection.execute(text(_ADD_DEVICES), values)
        admin = text("INSERT INTO users (name, phone) VALUES ('A', '+254711000001') RETURNING id")
        found: UUID = connection.execute(admin).scalar_one()
        return found

    return database.transact(add)


@contextmanager
def _database() -> Iterator[Database]:
    signing_key, public_key = tokens.new_signing_key()
    os.environ |= {
        "PEPPER": PEPPER,
        "JWT_ISSUER": "https://api.fieldgate.test",
        "JWT_AUDIENCE": "fieldgate-app",
        "JWT_SIGNING_KEY": signing_key,
        "JWT_PUBLIC_KEYS": f'{{"keys": [{public_key}]}}',
        "POWERTOOLS_LOG_LEVEL": "ERROR",
    }
    with (
        tempfile.TemporaryDirectory() as directory,
        start_postgres(Path(directory) / "data", free_port(), durable=True) as server,
        run_fcm(latency_seconds=LATENCY_SECONDS) as fcm,
    ):
        Path(directory).chmod(0o711)
        os.environ |= fcm.settings | {"DATABASE_URL": server.url}
        migrate(lambda: parse_url(server.url, "the benchmark"))
        settings.forget()
        with closing(engine.database()) as database:
            yield database


def section(
    options: argparse.Namespace, queued: list[tuple[float, float]], pushed: list[float]
) -> Section:
    """Return the figures as they are published."""
    everybody = [seconds for _, seconds in queued]
    return Section(
        "notifications",
        "Notifications to many",
        f"One request notifies {options.people:,} people; the functions write down a row for each,"
        " in a PostgreSQL on this machine with durable commits. Then the worker pushes to"
        f" {options.pushed:,} phones with firebase-admin, to a stand-in of FCM that takes"
        f" {LATENCY_SECONDS * 1000:.0f} ms a message.",
        [
            Comparison("the request's answer", "s", [answered for answered, _ in queued]),
            Comparison(
                "until all have it in their inbox",
                "s",
                everybody,
                goal=f"at most {QUEUE_SECONDS}",
                met=statistics.median(everybody) <= QUEUE_SECONDS,
            ),
            Comparison(
                "pushes by one worker",
                "messages/s",
                pushed,
                goal=f"at least {MESSAGES_A_SECOND}",
                met=statistics.median(pushed) >= MESSAGES_A_SECOND,
                more_is_better=True,
            ),
        ],
    )


def _options() -> argparse.Namespace:
    made = parser(__doc__)
    made.add_argument("--people", type=int, default=10_000)
    made.add_argument("--pushed", type=int, default=2_000)
    return made.parse_args()


if __name__ == "__main__":
    sys.exit(main())
