"""Identity, media, and the change log that the database keeps by itself.

Permissions (`resource:action`) and the roles that have them:

| permission     | admin | agent | warehouse_manager | farmer | sponsor |
|----------------|-------|-------|-------------------|--------|---------|
| media:read     | yes   | yes   | yes               | yes    | yes     |
| media:write    | yes   | yes   | yes               | yes    |         |
| media:read_all | yes   |       |                   |        |         |
| media:write_all| yes   |       |                   |        |         |
| users:read     | yes   |       |                   |        |         |
| users:write    | yes   |       |                   |        |         |

media:read and media:write are about one's own media, media:read_all and media:write_all about
everybody's.

How the change log is kept honest:

- `record_change` writes `change_log` and `outbox` in the transaction of the change, for every row
  of every domain table. TRUNCATE would pass by row triggers, so domain tables refuse it.
- `change_log` refuses UPDATE, DELETE and TRUNCATE, and both tables refuse an INSERT that does not
  come from a trigger. The outbox lets only `dispatched_at` be set, and only announced rows go.
- All of these are ENABLE ALWAYS: `session_replication_role` does not switch them off. They bind
  the owner and a superuser too; what is left is DDL (dropping a trigger, writing another).
- `record_change` is SECURITY DEFINER with a fixed search path, so the role that functions log in
  as needs no right to insert into either table. Where that role is not the owner, which a
  deployment should prefer, it can do no DDL and is granted:
      GRANT SELECT, INSERT, UPDATE, DELETE ON users, roles, permissions, role_permissions,
          user_roles, media TO app;
      GRANT SELECT ON change_log TO app;
      GRANT SELECT, UPDATE (dispatched_at), DELETE ON outbox TO app;
- Actor and request id are `fieldgate.actor` and `fieldgate.request_id` of the transaction, set by
  `Database.transact` with is_local, so they end with it.

What is masked is an argument of a table's trigger; an update of a masked column shows in `changed`.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Table: (key columns, masked columns), the arguments of its trigger.
DOMAIN_TABLES = {
    "users": ("id", "password_hash,phone,email"),
    "roles": ("name", ""),
    "permissions": ("name", ""),
    "role_permissions": ("role,permission", ""),
    "user_roles": ("user_id,role", ""),
    "media": ("id", ""),
}
TOUCHED_TABLES = ("users", "media")

ROLES = {
    "admin": "Runs the system",
    "agent": "Registers farmers and works in the field",
    "warehouse_manager": "Receives and moves stock",
    "farmer": "Grows and delivers",
    "sponsor": "Pays for inputs and follows what became of them",
}
# Permission: (what it allows, roles that have it).
PERMISSIONS = {
    "media:read": ("See one's own media", tuple(ROLES)),
    "media:write": (
        "Upload and delete one's own media",
        ("admin", "agent", "warehouse_manager", "farmer"),
    ),
    "media:read_all": ("See everybody's media", ("admin",)),
    "media:write_all": ("Delete everybody's media", ("admin",)),
    "users:read": ("See users and their roles", ("admin",)),
    "users:write": ("Create, change and block users", ("admin",)),
}

# PL/pgSQL's place-holder for messages is a percent sign, which the driver would take for its own,
# so messages are put together with USING.
FUNCTIONS = {
    # The row without its secrets: what is masked and there becomes "***".
    "mask_row(entry jsonb, masked text[])": """
        RETURNS jsonb LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
            SELECT entry || coalesce(jsonb_object_agg(key, '***'), '{}')
            FROM jsonb_each(entry)
            WHERE key = ANY (masked) AND value <> 'null'
        $$""",
    # Trigger arguments: key columns, then masked columns, each separated by commas.
    "record_change()": """
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
            RETURN NULL;
        END $$""",
    "refuse_change()": """
        RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            RAISE insufficient_privilege USING
                MESSAGE = TG_OP || ' on ' || TG_TABLE_NAME || ' is refused: '
                    || 'what happened stays on record';
        END $$""",
    # An INSERT by hand is at depth 1: this trigger's own.
    "refuse_forgery()": """
        RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF pg_trigger_depth() < 2 THEN
                RAISE insufficient_privilege USING
                    MESSAGE = 'INSERT into ' || TG_TABLE_NAME || ' is refused: '
                        || 'only the change itself is recorded';
            END IF;
            RETURN NULL;
        END $$""",
    "touch_updated_at()": """
        RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            NEW.updated_at := OLD.updated_at;
            IF NEW IS DISTINCT FROM OLD THEN
                NEW.updated_at := now();
            END IF;
            RETURN NEW;
        END $$""",
}


def upgrade() -> None:
    _create_identity()
    _create_media()
    _create_change_log()
    for signature, body in FUNCTIONS.items():
        op.execute(f"CREATE FUNCTION {signature} {body}")
        # Else anybody could hang it on a temporary table called `users`, and log what never was.
        op.execute(f"REVOKE EXECUTE ON FUNCTION {signature} FROM PUBLIC")
    _record_changes()
    _guard_change_log()
    _guard_outbox()
    _seed()


def downgrade() -> None:
    for table in ("media", "user_roles", "role_permissions", "permissions", "roles", "users"):
        op.drop_table(table)
    op.drop_table("outbox")
    op.drop_table("change_log")
    for signature in reversed(FUNCTIONS):
        op.execute(f"DROP FUNCTION {signature}")


def _id() -> sa.Column[object]:
    return sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False)


def _sequence() -> sa.Column[object]:
    return sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False)


def _text(name: str, *, nullable: bool = False, default: str | None = None) -> sa.Column[object]:
    server_default = None if default is None else sa.text(f"'{default}'")
    return sa.Column(name, sa.Text(), nullable=nullable, server_default=server_default)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def _create_identity() -> None:
    op.create_table(
        "users",
        _id(),
        _text("phone", nullable=True),
        _text("email", nullable=True),
        _text("name"),
        _text("password_hash", nullable=True),
        _text("status", default="active"),
        sa.Column(
            "two_factor_enabled", sa.Boolean(), server_default=sa.text("false"), nullable=False
        ),
        sa.Column("permission_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
        _time("created_at"),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("phone", name="uq_users_phone"),
        sa.CheckConstraint(r"phone ~ '^\+[1-9][0-9]{7,14}$'", name="ck_users_phone_e164"),
        sa.CheckConstraint(
            "phone IS NOT NULL OR email IS NOT NULL", name="ck_users_phone_or_email"
        ),
        sa.CheckConstraint("status IN ('pending', 'active', 'blocked')", name="ck_users_status"),
    )
    op.create_index("uq_users_email", "users", [sa.text("lower(email)")], unique=True)
    op.create_table(
        "roles",
        _text("name"),
        _text("description"),
        sa.PrimaryKeyConstraint("name", name="pk_roles"),
        sa.CheckConstraint("name ~ '^[a-z][a-z_]*$'", name="ck_roles_name"),
    )
    op.create_table(
        "permissions",
        _text("name"),
        _text("description"),
        sa.PrimaryKeyConstraint("name", name="pk_permissions"),
        sa.CheckConstraint("name ~ '^[a-z_]+:[a-z_]+$'", name="ck_permissions_resource_action"),
    )
    op.create_table(
        "role_permissions",
        _text("role"),
        _text("permission"),
        sa.PrimaryKeyConstraint("role", "permission", name="pk_role_permissions"),
        _reference("role_permissions", "role", "roles.name", "CASCADE"),
        _reference("role_permissions", "permission", "permissions.name", "CASCADE"),
    )
    op.create_index("ix_role_permissions_permission", "role_permissions", ["permission"])
    op.create_table(
        "user_roles",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        _text("role"),
        sa.PrimaryKeyConstraint("user_id", "role", name="pk_user_roles"),
        _reference("user_roles", "user_id", "users.id", "CASCADE"),
        _reference("user_roles", "role", "roles.name", "CASCADE"),
    )
    op.create_index("ix_user_roles_role", "user_roles", ["role"])


def _create_media() -> None:
    op.create_table(
        "media",
        _id(),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        _text("folder"),
        _text("filename"),
        _text("content_type"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        _text("sha256", nullable=True),
        _text("object_key"),
        _text("state", default="pending"),
        sa.Column("processing_since", sa.DateTime(timezone=True)),
        sa.Column("processing_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        _text("rejected_reason", nullable=True),
        sa.Column("variants", postgresql.JSONB(), server_default=sa.text("'{}'"), nullable=False),
        _time("created_at"),
        _time("updated_at"),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_media"),
        sa.UniqueConstraint("object_key", name="uq_media_object_key"),
        _reference("media", "owner_id", "users.id"),
        sa.CheckConstraint("size > 0", name="ck_media_size"),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="ck_media_sha256_hex"),
        sa.CheckConstraint(
            "state IN ('pending', 'processing', 'ready', 'stored', 'rejected')",
            name="ck_media_state",
        ),
        sa.CheckConstraint(
            "(state = 'rejected') = (rejected_reason IS NOT NULL)", name="ck_media_rejected_reason"
        ),
    )
    page = [sa.text("created_at DESC"), sa.text("id DESC")]
    alive = sa.text("deleted_at IS NULL")
    op.create_index("ix_media_owner_page", "media", ["owner_id", *page], postgresql_where=alive)
    op.create_index(
        "ix_media_owner_folder_page",
        "media",
        ["owner_id", "folder", *page],
        postgresql_where=alive,
    )


def _create_change_log() -> None:
    op.create_table(
        "change_log",
        _sequence(),
        _text("entity"),
        _text("entity_id"),
        _text("action"),
        _text("actor", nullable=True),
        _text("request_id", nullable=True),
        sa.Column("before", postgresql.JSONB()),
        sa.Column("after", postgresql.JSONB()),
        sa.Column("changed", postgresql.ARRAY(sa.Text())),
        _time("at"),
        sa.PrimaryKeyConstraint("id", name="pk_change_log"),
        sa.CheckConstraint("action IN ('insert', 'update', 'delete')", name="ck_change_log_action"),
    )
    op.create_index("ix_change_log_entity", "change_log", ["entity", "entity_id", "id"])
    # No foreign key to change_log: one trigger writes both, and nothing is ever deleted there.
    op.create_table(
        "outbox",
        _sequence(),
        sa.Column("change_id", sa.BigInteger(), nullable=False),
        _text("entity"),
        _text("entity_id"),
        _text("action"),
        _text("actor", nullable=True),
        _text("request_id", nullable=True),
        _time("created_at"),
        sa.Column("dispatched_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("change_id", name="uq_outbox_change_id"),
    )
    op.create_index(
        "ix_outbox_undispatched",
        "outbox",
        ["id"],
        postgresql_where=sa.text("dispatched_at IS NULL"),
    )


def _reference(
    table: str, column: str, target: str, ondelete: str | None = None
) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{target.partition('.')[0]}"
    return sa.ForeignKeyConstraint([column], [target], name=name, ondelete=ondelete)


def _record_changes() -> None:
    for table in TOUCHED_TABLES:
        _trigger(table, "touch_updated_at", "BEFORE UPDATE", "ROW", "touch_updated_at()")
    for table, (keys, masked) in DOMAIN_TABLES.items():
        _trigger(
            table,
            "record_change",
            "AFTER INSERT OR UPDATE OR DELETE",
            "ROW",
            f"record_change('{keys}', '{masked}')",
        )
        _trigger(table, "refuse_truncate", "BEFORE TRUNCATE", "STATEMENT", "refuse_change()")


def _guard_change_log() -> None:
    _trigger(
        "change_log",
        "append_only",
        "BEFORE UPDATE OR DELETE OR TRUNCATE",
        "STATEMENT",
        "refuse_change()",
    )
    _trigger("change_log", "no_forgery", "BEFORE INSERT", "STATEMENT", "refuse_forgery()")


def _guard_outbox() -> None:
    fixed = "id, change_id, entity, entity_id, action, actor, request_id, created_at"
    _trigger("outbox", "no_forgery", "BEFORE INSERT", "STATEMENT", "refuse_forgery()")
    _trigger("outbox", "fixed", f"BEFORE UPDATE OF {fixed}", "STATEMENT", "refuse_change()")
    _trigger("outbox", "refuse_truncate", "BEFORE TRUNCATE", "STATEMENT", "refuse_change()")
    _trigger(
        "outbox",
        "announced_first",
        "BEFORE DELETE",
        "ROW",
        "refuse_change()",
        when="OLD.dispatched_at IS NULL",
    )


def _trigger(
    table: str, name: str, event: str, level: str, function: str, *, when: str | None = None
) -> None:
    condition = f"WHEN ({when}) " if when else ""
    op.execute(
        f"CREATE TRIGGER {name} {event} ON {table} FOR EACH {level} {condition}"
        f"EXECUTE FUNCTION {function}"
    )
    op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def _seed() -> None:
    op.bulk_insert(
        sa.table("roles", sa.column("name"), sa.column("description")),
        [{"name": name, "description": description} for name, description in ROLES.items()],
    )
    op.bulk_insert(
        sa.table("permissions", sa.column("name"), sa.column("description")),
        [{"name": name, "description": what} for name, (what, _) in PERMISSIONS.items()],
    )
    op.bulk_insert(
        sa.table("role_permissions", sa.column("role"), sa.column("permission")),
        [
            {"role": role, "permission": name}
            for name, (_, granted) in PERMISSIONS.items()
            for role in granted
        ],
    )
