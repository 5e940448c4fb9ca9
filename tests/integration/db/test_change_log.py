import json
from typing import Any

import pytest
from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import DBAPIError

from fieldgate.db.driver import sqlstate
from fieldgate.db.engine import Database
from fieldgate.db.tables.all import change_log, media, outbox, roles, user_roles, users
from tests.conftest import run_sql

PHONE = "+254712345678"
HASH = "$argon2id$very-secret-hash"
EMAIL = "grower@example.org"


@pytest.fixture
def user_id(database: Database) -> str:
    row = {"phone": PHONE, "email": EMAIL, "name": "Grower", "password_hash": HASH}
    return str(
        database.transact(
            lambda c: c.execute(insert(users).values(row).returning(users.c.id)).scalar_one(),
            actor="user:admin",
            request_id="req-1",
        )
    )


def entries(database: Database, entity: str) -> list[Any]:
    query = select(change_log).where(change_log.c.entity == entity).order_by(change_log.c.id)
    return list(database.read(lambda c: c.execute(query).all()))


def user_updates(database: Database) -> list[Any]:
    return [entry for entry in entries(database, "users") if entry.action == "update"]


def count(database: Database, table: Any = change_log) -> int:
    return database.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())


def change_user(**values: Any) -> Any:
    return lambda connection: connection.execute(update(users).values(values))


def test_an_insert_is_recorded_with_actor_and_request(database: Database, user_id: str) -> None:
    (entry,) = entries(database, "users")
    assert (entry.action, entry.entity_id) == ("insert", user_id)
    assert (entry.actor, entry.request_id) == ("user:admin", "req-1")
    assert entry.before is None
    assert entry.after["name"] == "Grower"
    assert entry.at.utcoffset().total_seconds() == 0


def test_the_outbox_row_comes_with_it(database: Database, user_id: str) -> None:
    (entry,) = entries(database, "users")
    query = select(outbox).where(outbox.c.change_id == entry.id)
    row = database.read(lambda c: c.execute(query).one())
    assert (row.entity, row.entity_id, row.action) == ("users", user_id, "insert")
    assert (row.actor, row.request_id, row.dispatched_at) == ("user:admin", "req-1", None)


def test_an_update_says_what_changed(database: Database, user_id: str) -> None:
    database.transact(change_user(name="Grower W.", status="blocked"))
    (entry,) = user_updates(database)
    assert entry.changed == ["name", "status"]
    assert (entry.before["name"], entry.after["name"]) == ("Grower", "Grower W.")
    assert (entry.actor, entry.request_id) == (None, None)


def test_an_update_that_changes_nothing_is_neither_logged_nor_dated(
    database: Database, user_id: str
) -> None:
    query = select(users.c.updated_at)
    before = database.read(lambda c: c.execute(query).scalar_one())
    database.transact(change_user(name="Grower"))
    assert user_updates(database) == []
    assert database.read(lambda c: c.execute(query).scalar_one()) == before
    database.transact(change_user(name="Other"))
    assert database.read(lambda c: c.execute(query).scalar_one()) > before


def test_a_delete_keeps_what_was(database: Database, user_id: str) -> None:
    database.transact(lambda c: c.execute(users.delete()))
    entry = entries(database, "users")[-1]
    assert (entry.action, entry.before["name"], entry.after) == ("delete", "Grower", None)


def test_a_cascade_is_recorded_too(database: Database, user_id: str) -> None:
    database.transact(lambda c: c.execute(insert(user_roles).values(user_id=user_id, role="agent")))
    database.transact(lambda c: c.execute(users.delete()))
    actions = [(entry.action, entry.entity_id) for entry in entries(database, "user_roles")]
    assert actions == [("insert", f"{user_id}:agent"), ("delete", f"{user_id}:agent")]


def test_masked_values_are_nowhere(database: Database, user_id: str) -> None:
    database.transact(change_user(phone="+254799999999", password_hash="$second-secret"))
    database.transact(lambda c: c.execute(users.delete()))
    everything = database.read(
        lambda c: (
            str(c.execute(text("SELECT to_jsonb(l) FROM change_log l")).all())
            + str(c.execute(text("SELECT to_jsonb(o) FROM outbox o")).all())
        )
    )
    for secret in (PHONE, EMAIL, HASH, "+254799999999", "$second-secret"):
        assert secret not in everything


def test_a_masked_change_shows_without_its_value(database: Database, user_id: str) -> None:
    database.transact(change_user(password_hash="$other"))
    database.transact(change_user(password_hash=None))
    replaced, removed = user_updates(database)
    assert replaced.changed == removed.changed == ["password_hash"]
    assert replaced.after["password_hash"] == "***"
    assert removed.after["password_hash"] is None


def test_what_is_rolled_back_leaves_no_trace(database: Database) -> None:
    before = count(database), count(database, outbox)

    def fail(connection: Connection) -> None:
        connection.execute(insert(users).values(phone=PHONE, name="Grower"))
        raise LookupError

    with pytest.raises(LookupError):
        database.transact(fail)
    assert (count(database), count(database, outbox)) == before


def test_a_bulk_update_is_recorded_row_by_row(database: Database) -> None:
    rows = [{"phone": f"+2547000000{n:02}", "name": f"Farmer {n}"} for n in range(20)]
    database.transact(lambda c: c.execute(insert(users), rows))
    database.transact(change_user(status="pending"), actor="sweep")
    updates = user_updates(database)
    assert len({entry.entity_id for entry in updates}) == 20
    assert {entry.actor for entry in updates} == {"sweep"}


def test_an_upsert_is_recorded_as_what_it_did(database: Database) -> None:
    statement = upsert(roles).values(name="auditor", description="first")
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_={"description": statement.excluded.description}
    )
    database.transact(lambda c: c.execute(statement))
    database.transact(lambda c: c.execute(statement.values(description="second")))
    database.transact(lambda c: c.execute(statement.values(description="second")))
    kinds = [e.action for e in entries(database, "roles") if e.entity_id == "auditor"]
    assert kinds == ["insert", "update"]


def test_json_is_recorded_as_json(database: Database, user_id: str) -> None:
    row = {
        "owner_id": user_id,
        "folder": "crops",
        "filename": "a.jpg",
        "content_type": "image/jpeg",
        "size": 1,
        "object_key": "crops/a.jpg",
        "variants": {"web": {"width": 500}},
    }
    database.transact(lambda c: c.execute(insert(media).values(row)))
    (entry,) = entries(database, "media")
    assert entry.after["variants"] == {"web": {"width": 500}}
    stored = database.read(lambda c: c.execute(select(media.c.variants)).scalar_one())
    assert stored == {"web": {"width": 500}}


def test_the_actor_ends_with_the_transaction(database: Database, user_id: str) -> None:
    database.transact(change_user(name="A"), actor="user:1", request_id="req-2")
    database.transact(change_user(name="B"))
    first, second = user_updates(database)
    assert (first.actor, first.request_id) == ("user:1", "req-2")
    assert (second.actor, second.request_id) == (None, None)


def test_an_actor_set_for_the_session_does_not_stick(database: Database, user_id: str) -> None:
    spoof = text("SELECT set_config('fieldgate.actor', 'user:evil', false)")
    database.read(lambda c: c.execute(spoof))
    database.transact(change_user(name="A"))
    database.transact(change_user(name="B"), actor="user:1")
    assert [entry.actor for entry in user_updates(database)] == [None, "user:1"]


REFUSED = [
    "UPDATE change_log SET actor = 'nobody'",
    "UPDATE change_log SET actor = 'nobody' WHERE false",
    "DELETE FROM change_log",
    "TRUNCATE change_log",
    "MERGE INTO change_log USING (SELECT 1) AS s ON true WHEN MATCHED THEN DELETE",
    "INSERT INTO change_log (entity, entity_id, action) VALUES ('users', '1', 'delete')",
    "INSERT INTO outbox (change_id, entity, entity_id, action) VALUES (0, 'users', '1', 'delete')",
    "UPDATE outbox SET actor = 'nobody'",
    "DELETE FROM outbox",
    "TRUNCATE outbox",
    "TRUNCATE user_roles",
    "TRUNCATE users CASCADE",
]


@pytest.mark.parametrize("switch", ["origin", "replica"])
@pytest.mark.parametrize("statement", REFUSED)
def test_history_cannot_be_changed_even_by_its_owner(
    database: Database, user_id: str, statement: str, switch: str
) -> None:
    before = count(database), count(database, outbox)

    def cheat(connection: Connection) -> None:
        # The tests log in as a superuser: whom this stops, it stops all.
        connection.execute(text(f"SET LOCAL session_replication_role = {switch}"))
        connection.execute(text(statement))

    with pytest.raises(DBAPIError, match="is refused") as caught:
        database.transact(cheat)
    assert sqlstate(caught.value.orig) == "42501"
    assert (count(database), count(database, outbox)) == before


def test_changes_are_recorded_whatever_the_replication_role(
    database: Database, user_id: str
) -> None:
    def hide(connection: Connection) -> None:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(update(users).values(name="Hidden"))

    database.transact(hide)
    assert [entry.after["name"] for entry in user_updates(database)] == ["Hidden"]


def test_a_search_path_of_ones_own_changes_nothing(database: Database, user_id: str) -> None:
    def divert(connection: Connection) -> None:
        shadow = "CREATE TEMP TABLE change_log (LIKE public.change_log) ON COMMIT DROP"
        connection.execute(text(shadow))
        connection.execute(text("SET LOCAL search_path = pg_temp, public"))
        connection.execute(text("UPDATE public.users SET name = 'Diverted'"))

    database.transact(divert)
    assert [entry.after["name"] for entry in user_updates(database)] == ["Diverted"]


def test_an_announced_outbox_row_may_be_marked_and_cleared(
    database: Database, user_id: str
) -> None:
    mark = update(outbox).values(dispatched_at=func.now())
    database.transact(lambda c: c.execute(mark))
    database.transact(lambda c: c.execute(outbox.delete()))
    assert count(database, outbox) == 0


def test_a_role_with_the_documented_grants_records_but_cannot_write_the_log(
    database: Database, database_url: str, user_id: str
) -> None:
    # Roles belong to the whole server, so this one is made and dropped here.
    run_sql(
        database_url,
        "CREATE ROLE app",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON users, roles, permissions, role_permissions,"
        " user_roles, media TO app",
        "GRANT SELECT ON change_log TO app",
        "GRANT SELECT, UPDATE (dispatched_at), DELETE ON outbox TO app",
    )
    try:
        run_sql(database_url, "SET ROLE app", "UPDATE users SET name = 'By app'")
        assert [entry.after["name"] for entry in user_updates(database)] == ["By app"]
        for statement in (*REFUSED, "ALTER TABLE change_log DISABLE TRIGGER ALL"):
            with pytest.raises(Exception, match="42501"):
                run_sql(database_url, "SET ROLE app", statement)
        forged = ["SET ROLE app", "CREATE TEMP TABLE users (LIKE public.users)"]
        run_sql(database_url, *forged)
        for function in ("record_change('id', '')", "refuse_change()", "touch_updated_at()"):
            hang = f"CREATE TRIGGER t AFTER INSERT ON pg_temp.users EXECUTE FUNCTION {function}"
            with pytest.raises(Exception, match="permission denied for function"):
                run_sql(database_url, *forged, hang)
        run_sql(database_url, "SET ROLE app", "UPDATE users SET name = 'By app again'")
        assert len(user_updates(database)) == 2
    finally:
        run_sql(database_url, "DROP OWNED BY app", "DROP ROLE app")


def test_constraints_hold(database: Database, user_id: str) -> None:
    from sqlalchemy.exc import IntegrityError

    from fieldgate.db.engine import violated_constraint

    broken = [
        ({"phone": "0712345678", "name": "x"}, "ck_users_phone_e164"),
        ({"name": "x"}, "ck_users_phone_or_email"),
        ({"email": EMAIL.upper(), "name": "x"}, "uq_users_email"),
        ({"phone": PHONE, "name": "x"}, "uq_users_phone"),
        ({"email": "b@example.org", "name": "x", "status": "odd"}, "ck_users_status"),
    ]
    for row, constraint in broken:
        with pytest.raises(IntegrityError) as caught:
            database.transact(lambda c, row=row: c.execute(insert(users).values(row)))  # type: ignore[misc]
        assert violated_constraint(caught.value) == constraint
        assert PHONE not in str(caught.value)
        assert json.dumps(row) not in str(caught.value)


def test_a_change_takes_as_many_bytes_as_the_docs_say(database: Database, user_id: str) -> None:
    """A photo is four changes: announced, taken up, finished, deleted."""
    photos = text("""
        INSERT INTO media (owner_id, folder, filename, content_type, size, sha256, object_key)
        SELECT :owner_id, 'farmers', 'IMG_' || n || '.jpg', 'image/jpeg', 3352679,
            encode(sha256(int8send(n)), 'hex'), 'farmers/' || uuidv7() || '.jpg'
        FROM generate_series(1, 1000) AS n""")
    taken_up = update(media).values(state="processing", processing_attempts=1)
    picture = {"key": f"farmers/{user_id}/web.jpg", "width": 375, "height": 500, "size": 39_744}
    finished = update(media).values(state="ready", variants={"web": picture, "ai": picture})
    hidden = update(media).values(deleted_at=func.now())
    before = count(database)
    database.transact(lambda c: c.execute(photos, {"owner_id": user_id}))
    database.transact(lambda c: [c.execute(each) for each in (taken_up, finished, hidden)])
    size = text("SELECT pg_total_relation_size('change_log'), pg_total_relation_size('outbox')")
    log, waiting = database.read(lambda c: c.execute(size).one())
    changes = count(database)
    assert changes == before + 4_000
    assert 1_600 < log / changes < 1_900, log / changes
    assert 150 < waiting / changes < 300, waiting / changes
