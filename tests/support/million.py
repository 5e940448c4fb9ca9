"""Tables with a million rows each, skewed as in life: few people with many, and most of it done.

What a row of a number is follows from the number, here and in SQL: `person(7)` and `person(7)`.
Half of all rows are those of the first thousand people, and one in twenty is the first one's.
"""

from collections.abc import Sequence
from uuid import UUID

ROWS = 1_000_000
# Ids that begin with the same 48 bits are told apart by their ends.
_PEOPLE, _SESSIONS = "019000000000", "019000000001"

_FUNCTIONS = (
    f"""CREATE FUNCTION person(number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN
        CAST('{_PEOPLE}70008000' || lpad(to_hex(number), 12, '0') AS uuid)""",
    f"""CREATE FUNCTION session(number bigint) RETURNS uuid LANGUAGE sql IMMUTABLE RETURN
        CAST('{_SESSIONS}70008000' || lpad(to_hex(number), 12, '0') AS uuid)""",
    """CREATE FUNCTION phone(number bigint) RETURNS text LANGUAGE sql IMMUTABLE RETURN
        '+2547' || lpad(CAST(number AS text), 8, '0')""",
    # Whose a row is.
    """CREATE FUNCTION whose(number bigint) RETURNS bigint LANGUAGE sql IMMUTABLE RETURN
        CASE WHEN mod(number, 20) = 0 THEN 0
            WHEN mod(number, 2) = 0 THEN mod(number / 2, 1000) ELSE number END""",
    # An id as uuidv7() made it then. (What depends on a time zone is stable, and is written out
    # where it is called only if it says so.)
    """CREATE FUNCTION made(number bigint, at timestamptz) RETURNS uuid LANGUAGE sql STABLE RETURN
        CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0')
            || '70008000' || lpad(to_hex(number), 12, '0') AS uuid)""",
    # When, if the last of a million was made now and the first so many days ago.
    f"""CREATE FUNCTION at(number bigint, days integer, now timestamptz) RETURNS timestamptz
        LANGUAGE sql STABLE RETURN
        now - ({ROWS} - number) * (days * interval '1 day' / {ROWS})""",
)
# One in a thousand is blocked; five are admins, a thousand manage warehouses, the rest are farmers
# but for a tenth.
PEOPLE = (
    f"""INSERT INTO users (id, phone, email, name, password_hash, status, created_at)
    SELECT person(n), phone(n), 'p' || n || '@farm.example', 'Grower ' || n, 'hash',
        CASE WHEN mod(n, 1000) = 500 THEN 'blocked' ELSE 'active' END, at(n, 700, now())
    FROM generate_series(0, {ROWS - 1}) AS n""",
    f"""INSERT INTO user_roles (user_id, role)
    SELECT person(n), CASE WHEN n < 5 THEN 'admin'
        WHEN mod(n, 1000) = 7 THEN 'warehouse_manager'
        WHEN mod(n, 10) = 1 THEN 'agent' ELSE 'farmer' END
    FROM generate_series(0, {ROWS - 1}) AS n""",
)
# Of one person at most twenty are alive. One in twenty expired some days ago.
SESSIONS = f"""
    INSERT INTO sessions (id, user_id, profile, current_hash, previous_hash, rotated_at,
        created_at, expires_at, ended_at, end_reason)
    SELECT session(n), person(whose(n)), 'mobile', sha256(int8send(n)), sha256(int8send(n + 1)),
        now(), at(n, 60, now()),
        CASE WHEN mod(n, 20) = 1 THEN now() - interval '5 days' ELSE now() + interval '9 days' END,
        CASE WHEN is_over THEN now() END, CASE WHEN is_over THEN 'logged_out' END
    FROM generate_series(0, {ROWS - 1}) AS n,
        LATERAL (SELECT mod(n, 2) = 0
            AND n < {ROWS} - CASE mod(n, 20) WHEN 0 THEN 200 ELSE 20000 END AS is_over) AS made"""

_DROP_INDEXES = """
    DO $$ DECLARE index record; BEGIN
        CREATE TABLE dropped AS
            SELECT indexrelid::regclass AS name, pg_get_indexdef(indexrelid) AS definition
            FROM pg_index JOIN pg_class ON pg_class.oid = indrelid
            WHERE relnamespace = 'public'::regnamespace
                AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid);
        FOR index IN SELECT CAST(name AS text) AS name FROM dropped LOOP
            EXECUTE 'DROP INDEX ' || index.name;
        END LOOP;
    END $$"""
_MAKE_INDEXES = """
    DO $$ DECLARE index record; BEGIN
        FOR index IN SELECT definition FROM dropped LOOP
            EXECUTE index.definition;
        END LOOP;
        DROP TABLE dropped;
    END $$"""
# With all in one transaction nothing is written ahead: the tables are new in it.
_EMPTY = """
    DO $$ DECLARE names text; BEGIN
        SELECT string_agg(quote_ident(relname), ', ') INTO names FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'dropped'
            AND relname NOT IN ('schema_history', 'roles', 'permissions', 'role_permissions',
                'realtime_stream', 'configuration');
        EXECUTE 'TRUNCATE ' || names;
    END $$"""
_TRIGGERS = """
    DO $$ DECLARE name regclass; BEGIN
        FOR name IN SELECT oid FROM pg_class
            WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
            EXECUTE 'ALTER TABLE ' || name || ' {how} TRIGGER USER';
        END LOOP;
    END $$"""
# Triggers that hold whatever a session says are to hold again.
_ALWAYS = """
    DO $$ DECLARE found record; BEGIN
        FOR found IN SELECT tgrelid::regclass AS name, tgname FROM pg_trigger
            WHERE NOT tgisinternal LOOP
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', found.name, found.tgname);
        END LOOP;
    END $$"""


def person(number: int) -> UUID:
    return _uuid(_PEOPLE, number)


def session(number: int) -> UUID:
    return _uuid(_SESSIONS, number)


def phone(number: int) -> str:
    return f"+2547{number:08}"


def filling(tables: Sequence[str]) -> list[str]:
    """Return statements that fill an empty migrated database, each to be run by itself.

    `tables` are those that fill what isn't people.
    """
    return [
        "SET session_replication_role = replica",
        "SET maintenance_work_mem = '256MB'",
        *_FUNCTIONS,
        "BEGIN",
        _TRIGGERS.format(how="DISABLE"),
        _EMPTY,
        _DROP_INDEXES,
        *PEOPLE,
        *tables,
        _MAKE_INDEXES,
        _TRIGGERS.format(how="ENABLE"),
        _ALWAYS,
        f"ALTER TABLE change_log ALTER id RESTART WITH {2 * ROWS}",
        f"ALTER TABLE outbox ALTER id RESTART WITH {2 * ROWS}",
        "COMMIT",
        "VACUUM (ANALYZE)",
    ]


def _uuid(beginning: str, number: int) -> UUID:
    return UUID(f"{beginning}70008000{number:012x}")
