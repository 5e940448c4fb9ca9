"""Realtime: connections, the stream of events, broadcasts; and a writer hears that it has news.

`record_change` now also sends the writer a notice with the first change of a transaction, so that
it wakes the relay after the commit, and only then: exact, and no round trip.

| permission         | admin | agent | warehouse_manager | farmer | sponsor |
|--------------------|-------|-------|-------------------|--------|---------|
| realtime:broadcast | yes   |       |                   |        |         |

Where the functions' role is not the owner, it is granted:
    GRANT SELECT, UPDATE ON realtime_stream TO app;
    GRANT SELECT, INSERT, DELETE ON realtime_events TO app;
    GRANT SELECT, INSERT, UPDATE, DELETE ON realtime_connections TO app;
    GRANT SELECT, INSERT, DELETE ON realtime_broadcasts TO app;
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# As the first migration made it; `{notice}` is what comes after the outbox row.
RECORD_CHANGE = """
    CREATE OR REPLACE FUNCTION record_change()
    RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public, pg_temp AS $$
    DECLARE
        masked text[] := string_to_array(TG_ARGV[1], ',');
        old_row jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
        new_row jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
        changed_columns text[];
        entry public.change_log;
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            SELECT array_agg(key ORDER BY key) INTO changed_columns
            FROM jsonb_each(new_row)
            WHERE value IS DISTINCT FROM old_row -> key AND key <> 'updated_at';
            IF changed_columns IS NULL THEN
                RETURN NULL;
            END IF;
        END IF;
        INSERT INTO public.change_log
            (entity, entity_id, action, actor, request_id, before, after, changed)
        VALUES (
            TG_TABLE_NAME,
            (SELECT string_agg(coalesce(new_row, old_row) ->> key, ':' ORDER BY place)
             FROM unnest(string_to_array(TG_ARGV[0], ',')) WITH ORDINALITY AS k(key, place)),
            lower(TG_OP),
            nullif(current_setting('fieldgate.actor', true), ''),
            nullif(current_setting('fieldgate.request_id', true), ''),
            public.mask_row(old_row, masked),
            public.mask_row(new_row, masked),
            changed_columns
        ) RETURNING * INTO entry;
        INSERT INTO public.outbox
            (change_id, entity, entity_id, action, actor, request_id)
        VALUES (entry.id, entry.entity, entry.entity_id, entry.action, entry.actor,
                entry.request_id);
        {notice}
        RETURN NULL;
    END $$"""
# Once a transaction. The text is known to fieldgate.db.driver.
NOTICE = """
        IF current_setting('fieldgate.recorded', true) IS DISTINCT FROM 'yes' THEN
            PERFORM set_config('fieldgate.recorded', 'yes', true);
            RAISE NOTICE USING MESSAGE = 'fieldgate: changes recorded';
        END IF;"""


def upgrade() -> None:
    # What happened before there was a relay is no news.
    op.execute("UPDATE outbox SET dispatched_at = now() WHERE dispatched_at IS NULL")
    _create_stream()
    _create_connections()
    _create_broadcasts()
    op.execute(RECORD_CHANGE.format(notice=NOTICE))
    op.execute(
        "INSERT INTO permissions (name, description)"
        " VALUES ('realtime:broadcast', 'Announce changes to everybody')"
    )
    op.execute(
        "INSERT INTO role_permissions (role, permission) VALUES ('admin', 'realtime:broadcast')"
    )


def downgrade() -> None:
    op.execute("DELETE FROM permissions WHERE name = 'realtime:broadcast'")
    op.execute(RECORD_CHANGE.format(notice=""))
    for table in (
        "realtime_broadcasts",
        "realtime_connections",
        "realtime_events",
        "realtime_stream",
    ):
        op.drop_table(table)


def _create_stream() -> None:
    op.create_table(
        "realtime_stream",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        _offset("head"),
        _offset("trimmed"),
        sa.PrimaryKeyConstraint("id", name="pk_realtime_stream"),
        sa.CheckConstraint("id = 1", name="ck_realtime_stream_one_row"),
        sa.CheckConstraint("trimmed BETWEEN 0 AND head", name="ck_realtime_stream_trimmed"),
    )
    op.execute("INSERT INTO realtime_stream (id) VALUES (1)")
    op.create_table(
        "realtime_events",
        sa.Column("event_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        _text("kind"),
        _text("entity_type"),
        _text("entity_id"),
        _text("action"),
        sa.Column("audiences", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        _time("dispatched_at"),
        sa.PrimaryKeyConstraint("event_offset", name="pk_realtime_events"),
        sa.CheckConstraint("kind IN ('changed', 'permissions')", name="ck_realtime_events_kind"),
    )


def _create_connections() -> None:
    op.create_table(
        "realtime_connections",
        _text("id"),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("token_expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dialect", sa.Text()),
        sa.Column(
            "channels",
            postgresql.ARRAY(sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        _time("connected_at"),
        sa.Column("handshake_at", sa.DateTime(timezone=True)),
        sa.Column("ready_at", sa.DateTime(timezone=True)),
        _offset("sent_offset"),
        _offset("wanted_offset"),
        sa.Column("leased_until", sa.DateTime(timezone=True)),
        sa.Column("tries", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_realtime_connections"),
        sa.CheckConstraint(
            "dialect IN ('signalr', 'json')", name="ck_realtime_connections_dialect"
        ),
        sa.CheckConstraint(
            "(dialect IS NULL) = (ready_at IS NULL)", name="ck_realtime_connections_ready"
        ),
    )
    # A broadcast changes every row: with room on the page none of the indexes is touched.
    op.execute("ALTER TABLE realtime_connections SET (fillfactor = 50)")
    op.create_index("ix_realtime_connections_user_id", "realtime_connections", ["user_id"])
    op.create_index("ix_realtime_connections_session_id", "realtime_connections", ["session_id"])


def _create_broadcasts() -> None:
    op.create_table(
        "realtime_broadcasts",
        sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False),
        _text("entity_type"),
        _text("entity_id"),
        _text("action"),
        sa.Column("audiences", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        _time("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_realtime_broadcasts"),
        sa.ForeignKeyConstraint(
            ["created_by"], ["users.id"], name="fk_realtime_broadcasts_created_by_users"
        ),
    )
    for name, event, level, function in (
        ("record_change", "AFTER INSERT OR UPDATE OR DELETE", "ROW", "record_change('id', '')"),
        ("refuse_truncate", "BEFORE TRUNCATE", "STATEMENT", "refuse_change()"),
    ):
        op.execute(
            f"CREATE TRIGGER {name} {event} ON realtime_broadcasts FOR EACH {level}"
            f" EXECUTE FUNCTION {function}"
        )
        op.execute(f"ALTER TABLE realtime_broadcasts ENABLE ALWAYS TRIGGER {name}")


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def _offset(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default=sa.text("0"), nullable=False)


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)
