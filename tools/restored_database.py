"""`python -m tools.restored_database`: see that a database that was restored is whole.

URL in the environment says which: an argument, with the password in it, would stand in the list of
processes for all to read.

What it asks leaves no trace: attempts to write are rolled back. `--begin-anew` then does what has
to be done after going back in time (docs/disaster-recovery.md); `--originals` and `--published`
name the buckets whose objects are compared with the rows. TLS is verified as the functions do it:
DATABASE_CA_CERT names RDS's authorities.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial

from sqlalchemy import Connection, delete, func, insert, inspect, literal, select, text, update
from sqlalchemy.exc import DBAPIError, NoResultFound

from fieldgate.db.engine import Database, DatabaseSettings
from fieldgate.db.migrate import HISTORY_TABLE, find_revision, newest_revision
from fieldgate.db.tables.all import METADATA
from fieldgate.db.tables.change_log import change_log, outbox
from fieldgate.db.tables.identity import roles
from fieldgate.db.tables.realtime import realtime_connections, realtime_stream
from fieldgate.db.tables.sessions import sessions
from fieldgate.db.url import parse_url
from fieldgate.errors import ConfigurationError, Unavailable
from fieldgate.settings import load
from tools.restored_objects import Finding, compare

ACTOR = "operations:restore"
END_REASON = "restored"
# Beyond it a count says no more than that there are many.
MANY = 100_000
# Triggers by table, all of them enabled whatever else is; a test holds this to the migrations.
TRIGGERS = {
    "change_log": "append_only no_forgery",
    "configuration": "record_change refuse_truncate touch_updated_at",
    "devices": "record_change record_move refuse_truncate",
    "media": "record_change refuse_truncate touch_updated_at",
    "notification_preferences": "record_change refuse_truncate touch_updated_at",
    "notifications": "record_change record_expanded refuse_truncate",
    "outbox": "announced_first fixed no_forgery refuse_truncate",
    "permissions": "record_change refuse_truncate",
    "realtime_broadcasts": "record_change refuse_truncate",
    "role_permissions": "bump_permission_version record_change refuse_truncate",
    "roles": "record_change refuse_truncate",
    "sessions": "forget_devices record_change record_end refuse_truncate",
    "stock_losses": "record_change refuse_truncate",
    "stock_lots": "close_alerts record_change refuse_truncate touch_updated_at",
    "user_roles": "bump_permission_version record_change refuse_truncate",
    "users": "record_change refuse_truncate touch_updated_at",
    "warehouses": "record_change refuse_truncate touch_updated_at",
}
COUNTED = ("users", "sessions", "media", "stock_lots", "notifications", "change_log")

_TRIGGERS = """
    SELECT tgrelid::regclass::text AS "table", tgname FROM pg_trigger
    WHERE NOT tgisinternal AND tgenabled = 'A'"""
_BROKEN = """
    SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid
    UNION ALL SELECT conname FROM pg_constraint WHERE NOT convalidated
    UNION ALL SELECT 'collation of the database' FROM pg_database
    WHERE datname = current_database()
        AND datcollversion <> pg_database_collation_actual_version(oid)"""
_BEHIND = """
    SELECT coalesce((SELECT max(id) FROM {table}), 0)
        > coalesce(pg_sequence_last_value(pg_get_serial_sequence('{table}', 'id')), 0)"""
_FORGERIES = (
    "UPDATE change_log SET actor = 'somebody'",
    "DELETE FROM change_log",
    "TRUNCATE change_log",
    "INSERT INTO change_log (entity, entity_id, action) VALUES ('users', '1', 'insert')",
    "TRUNCATE outbox",
)


class _RolledBack(Exception):
    """Nothing of what was tried is to stay."""


def look(database: Database) -> Iterator[Finding]:
    """Yield what there is to say of a database, whole or not.

    Raises:
        Unavailable: it can't be asked.

    """
    for find in (_revision, _tables, _triggers, _validity, _numbers, _stream):
        yield database.read(find)
    yield from _guards(database)
    yield database.read(_newest)
    yield database.read(_counts)


def begin_anew(database: Database, *, ends_sessions: bool = False) -> None:
    """Do what is needed after going back in time, in one transaction.

    Positions in the stream that were given away since mean something else now, so it has another
    epoch: whoever comes with one of before fetches anew. Connections are forgotten, as those that
    are there now aren't those of then. `ends_sessions` also signs everybody out: what ended since,
    by logout, block or new password, is alive again.
    """

    def work(connection: Connection) -> None:
        connection.execute(update(realtime_stream).values(epoch=func.gen_random_uuid()))
        connection.execute(delete(realtime_connections))
        if ends_sessions:
            alive = sessions.c.ended_at.is_(None)
            ended = update(sessions).where(alive)
            connection.execute(ended.values(ended_at=func.now(), end_reason=END_REASON))

    database.transact(work, actor=ACTOR)


def _revision(connection: Connection) -> Finding:
    found, newest = find_revision(connection), newest_revision()
    told = f"{found}" if found == newest else f"{found}, and the code's is {newest}: migrate"
    return Finding("schema", found == newest, told)


def _tables(connection: Connection) -> Finding:
    missing = {*METADATA.tables, HISTORY_TABLE} - set(inspect(connection).get_table_names())
    told = f"missing: {', '.join(sorted(missing))}" if missing else f"{len(METADATA.tables)}"
    return Finding("tables", not missing, told)


def _triggers(connection: Connection) -> Finding:
    enabled = {(row.table, row.tgname) for row in connection.execute(text(_TRIGGERS))}
    wanted = {(table, name) for table, names in TRIGGERS.items() for name in names.split()}
    missing = [f"{table}.{name}" for table, name in sorted(wanted - enabled)]
    told = f"missing or off: {', '.join(missing)}" if missing else f"{len(wanted)} on"
    return Finding("triggers", not missing, told)


def _validity(connection: Connection) -> Finding:
    broken = connection.scalars(text(_BROKEN)).all()
    return Finding("indexes and constraints", not broken, ", ".join(broken) or "valid")


def _numbers(connection: Connection) -> Finding:
    behind = [
        table
        for table in (change_log.name, outbox.name)
        if connection.scalar(text(_BEHIND.format(table=table)))
    ]
    told = f"behind their rows: {', '.join(behind)}" if behind else "ahead of their rows"
    return Finding("numbers of rows to come", not behind, told)


def _stream(connection: Connection) -> Finding:
    row = connection.execute(
        text(
            "SELECT epoch, head, coalesce((SELECT max(event_offset) FROM realtime_events), 0)"
            " AS newest FROM realtime_stream"
        )
    ).one_or_none()
    if row is None:
        return Finding("stream", False, "has no row")
    waiting = connection.scalar(
        select(func.count()).select_from(outbox).where(outbox.c.dispatched_at.is_(None))
    )
    told = f"epoch {row.epoch}, head {row.head}; {waiting} changes wait to be told"
    return Finding("stream", row.head >= row.newest, told)


def _guards(database: Database) -> Iterator[Finding]:
    taken = [forgery for forgery in _FORGERIES if _can_be_done(database, partial(_forge, forgery))]
    yield Finding("change log is closed", not taken, f"takes: {taken}" if taken else "to all hands")
    recorded = _can_be_done(database, _record)
    yield Finding("changes are recorded", recorded, "in log and outbox" if recorded else "no")


def _forge(forgery: str, connection: Connection) -> None:
    connection.execute(text(forgery))


def _record(connection: Connection) -> None:
    """Make a role of which both tables must hear, or raise."""
    connection.execute(insert(roles).values(name="of_a_restore", description="-"))
    heard = connection.execute(
        select(change_log.c.actor)
        .join(outbox, outbox.c.change_id == change_log.c.id)
        .where(change_log.c.entity == roles.name, change_log.c.entity_id == "of_a_restore")
    )
    assert heard.scalar_one() == ACTOR


def _can_be_done(database: Database, work: Callable[[Connection], object]) -> bool:
    """Say whether `work` gets through, in a transaction that is rolled back."""

    def attempt(connection: Connection) -> None:
        work(connection)
        raise _RolledBack

    try:
        database.transact(attempt, actor=ACTOR)
    except _RolledBack:
        return True
    except (DBAPIError, NoResultFound):
        return False
    raise AssertionError("a rolled back transaction is no success")


def _newest(connection: Connection) -> Finding:
    row = connection.execute(
        select(change_log.c.at, func.date_trunc("second", func.now() - change_log.c.at))
        .order_by(change_log.c.id.desc())
        .limit(1)
    ).first()
    told = f"of {row[0]:%Y-%m-%d %H:%M:%S} UTC, {row[1]} ago" if row else "none"
    return Finding("newest change", row is not None, told)


def _counts(connection: Connection) -> Finding:
    counts = []
    for name in COUNTED:
        table = METADATA.tables[name]
        some = select(literal(1)).select_from(table).limit(MANY + 1).subquery()
        found = connection.scalar(select(func.count()).select_from(some)) or 0
        counts.append(f"{name} {'over ' * (found > MANY)}{min(found, MANY):,}")
    return Finding("rows", True, ", ".join(counts))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.restored_database")
    parser.add_argument("--originals", default="", help="bucket of originals, to be compared")
    parser.add_argument("--published", default="", help="bucket of variants, to be compared")
    parser.add_argument("--begin-anew", action="store_true", help="after going back in time")
    parser.add_argument("--end-sessions", action="store_true", help="with it: sign everybody out")
    given = parser.parse_args(arguments)
    url = os.environ.get("URL")
    if not url:
        parser.error("which database? export URL=postgresql://user:password@host/database")
    try:
        address = parse_url(url, "URL")
    except ConfigurationError as error:
        parser.error(str(error))
    if bool(given.originals) != bool(given.published):
        parser.error("--originals and --published are needed both, or neither")
    if given.end_sessions and not given.begin_anew:
        parser.error("--end-sessions goes with --begin-anew")
    database = Database(lambda: address, load(DatabaseSettings))
    try:
        findings = list(look(database))
        if given.originals and given.published:
            findings += database.read(lambda c: compare(c, given.originals, given.published))
        for finding in findings:
            print(f"{'ok ' if finding.is_good else 'BAD'} {finding.what}: {finding.told}")
        is_whole = all(finding.is_good for finding in findings)
        if given.begin_anew:
            begin_anew(database, ends_sessions=given.end_sessions)
            print("begun anew: a new epoch, no connections" + ", no sessions" * given.end_sessions)
    except Unavailable as error:
        print(f"{error} {error.__cause__ or ''}", file=sys.stderr)
        return 2
    finally:
        database.close()
    return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
