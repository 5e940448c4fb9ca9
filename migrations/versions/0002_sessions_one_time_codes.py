"""Sessions, one-time codes, texts; limits and repeated requests; the version of permissions.

- Sessions are domain data: beginning and end of each are in the change log, with the hashes
  masked. Rotations of the refresh token are not: there is one an hour for every phone, and nothing
  in it that anyone would look up.
- What `otp_challenges`, `registrations`, `otp_phones`, `otp_counters`, `sms_messages`,
  `idempotency_keys` and `rate_limits` hold is gone within days and is about requests, not about the
  business: no change log, and cleaning them up needs no trace.
- `users.permission_version` goes up by trigger, whoever changes `user_roles` or
  `role_permissions`, and however. That change of `users` is itself recorded and put into the
  outbox: it is the event that tells a user's phones that permissions changed.

Where the functions' role is not the owner, it is granted:
    GRANT SELECT, INSERT, UPDATE, DELETE ON sessions, otp_challenges, registrations, otp_phones,
        otp_counters, sms_messages, idempotency_keys, rate_limits TO app;
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = (
    "rate_limits",
    "idempotency_keys",
    "sms_messages",
    "otp_counters",
    "otp_phones",
    "registrations",
    "otp_challenges",
    "sessions",
)

# SECURITY DEFINER, as the one who may change roles need not be one who may change users.
BUMP_USER = """
    CREATE FUNCTION bump_permission_version_of_user() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    BEGIN
        UPDATE public.users SET permission_version = permission_version + 1
        WHERE id = ANY (ARRAY[
            CASE WHEN TG_OP <> 'INSERT' THEN OLD.user_id END,
            CASE WHEN TG_OP <> 'DELETE' THEN NEW.user_id END])
        -- Once a transaction, however many roles change in it: one event is enough.
        AND NOT EXISTS (
            SELECT FROM public.change_log
            WHERE entity = 'users' AND entity_id = users.id::text
            AND 'permission_version' = ANY (changed)
            AND change_log.xmin = pg_current_xact_id()::xid);
        RETURN NULL;
    END $$"""
BUMP_ROLE = """
    CREATE FUNCTION bump_permission_version_of_role() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
    BEGIN
        UPDATE public.users SET permission_version = permission_version + 1
        WHERE id IN (SELECT user_id FROM public.user_roles WHERE role = ANY (ARRAY[
            CASE WHEN TG_OP <> 'INSERT' THEN OLD.role END,
            CASE WHEN TG_OP <> 'DELETE' THEN NEW.role END]));
        RETURN NULL;
    END $$"""


def upgrade() -> None:
    _create_sessions()
    _create_one_time_codes()
    _create_requests()
    _record_sessions()
    _version_permissions()
    # A page of users, newest first.
    op.create_index("ix_users_page", "users", [sa.text("created_at DESC"), sa.text("id DESC")])


def downgrade() -> None:
    op.drop_index("ix_users_page", "users")
    op.execute("DROP TRIGGER bump_permission_version ON user_roles")
    op.execute("DROP TRIGGER bump_permission_version ON role_permissions")
    op.execute("DROP FUNCTION bump_permission_version_of_user()")
    op.execute("DROP FUNCTION bump_permission_version_of_role()")
    for table in TABLES:
        op.drop_table(table)


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        _id(),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        _text("profile"),
        sa.Column("current_hash", sa.LargeBinary(), nullable=False),
        sa.Column("previous_hash", sa.LargeBinary()),
        _moment("rotated_at"),
        _time("created_at"),
        _moment("expires_at", nullable=False),
        _moment("ended_at"),
        _text("end_reason", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        _reference("sessions", "user_id", "users.id"),
        sa.CheckConstraint("profile IN ('web', 'mobile')", name="ck_sessions_profile"),
        sa.CheckConstraint(
            "(ended_at IS NULL) = (end_reason IS NULL)", name="ck_sessions_end_reason"
        ),
    )
    op.create_index(
        "ix_sessions_alive", "sessions", ["user_id"], postgresql_where=sa.text("ended_at IS NULL")
    )
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])


def _create_one_time_codes() -> None:
    op.create_table(
        "otp_challenges",
        _id(),
        _text("phone"),
        _text("purpose"),
        sa.Column("user_id", sa.Uuid()),
        _text("profile", nullable=True),
        _count("attempts", 0),
        _count("sends", 1),
        _time("created_at"),
        _moment("expires_at", nullable=False),
        _moment("verified_at"),
        sa.PrimaryKeyConstraint("id", name="pk_otp_challenges"),
        _reference("otp_challenges", "user_id", "users.id"),
        sa.CheckConstraint(
            "purpose IN ('register', 'login', 'second_factor', 'password_reset', 'phone_change')",
            name="ck_otp_challenges_purpose",
        ),
        sa.CheckConstraint("profile IN ('web', 'mobile')", name="ck_otp_challenges_profile"),
    )
    op.create_index("ix_otp_challenges_created_at", "otp_challenges", ["created_at"])
    op.create_index("ix_otp_challenges_user_id", "otp_challenges", ["user_id"])
    op.create_table(
        "registrations",
        sa.Column("challenge_id", sa.Uuid(), nullable=False),
        _text("name"),
        _text("email", nullable=True),
        _text("password_hash"),
        sa.PrimaryKeyConstraint("challenge_id", name="pk_registrations"),
        _reference("registrations", "challenge_id", "otp_challenges.id"),
    )
    times = postgresql.ARRAY(sa.DateTime(timezone=True))
    op.create_table(
        "otp_phones",
        _text("phone"),
        sa.Column("sent_at", times, server_default=sa.text("'{}'"), nullable=False),
        sa.Column("failed_at", times, server_default=sa.text("'{}'"), nullable=False),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("phone", name="pk_otp_phones"),
    )
    op.create_index("ix_otp_phones_updated_at", "otp_phones", ["updated_at"])
    op.create_table(
        "otp_counters",
        _text("key"),
        _moment("window_start", nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("key", "window_start", name="pk_otp_counters"),
    )
    op.create_index("ix_otp_counters_window_start", "otp_counters", ["window_start"])
    op.create_table(
        "sms_messages",
        _id(),
        sa.Column("challenge_id", sa.Uuid(), nullable=False),
        _text("phone"),
        _text("kind"),
        sa.Column("state", sa.Text(), server_default=sa.text("'queued'"), nullable=False),
        _count("attempts", 0),
        _moment("sending_since"),
        _text("provider", nullable=True),
        _text("provider_message_id", nullable=True),
        _text("failure", nullable=True),
        _time("created_at"),
        _moment("sent_at"),
        _moment("finished_at"),
        sa.PrimaryKeyConstraint("id", name="pk_sms_messages"),
        _reference("sms_messages", "challenge_id", "otp_challenges.id"),
        sa.CheckConstraint(
            "kind IN ('code', 'already_registered', 'password_first', 'phone_changed')",
            name="ck_sms_messages_kind",
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'sent', 'delivered', 'failed', 'expired')",
            name="ck_sms_messages_state",
        ),
    )
    op.create_index("ix_sms_messages_challenge_id", "sms_messages", ["challenge_id"])
    op.create_index(
        "uq_sms_messages_provider_message_id", "sms_messages", ["provider_message_id"], unique=True
    )
    op.create_index(
        "ix_sms_messages_unsent",
        "sms_messages",
        ["created_at"],
        postgresql_where=sa.text("state IN ('queued', 'sending')"),
    )


def _create_requests() -> None:
    op.create_table(
        "idempotency_keys",
        _text("scope"),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        _text("answer"),
        _time("created_at"),
        sa.PrimaryKeyConstraint("scope", "key_hash", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])
    op.create_table(
        "rate_limits",
        _text("key"),
        _moment("full_at", nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_rate_limits"),
        prefixes=["UNLOGGED"],
    )
    op.create_index("ix_rate_limits_full_at", "rate_limits", ["full_at"])


def _record_sessions() -> None:
    record = "EXECUTE FUNCTION record_change('id', 'current_hash,previous_hash')"
    _trigger(
        "sessions", "record_change", f"AFTER INSERT OR DELETE ON sessions FOR EACH ROW {record}"
    )
    _trigger(
        "sessions",
        "record_end",
        # Not "UPDATE OF ended_at", which is also true where it is set to what it was.
        "AFTER UPDATE ON sessions FOR EACH ROW"
        f" WHEN (OLD.ended_at IS DISTINCT FROM NEW.ended_at) {record}",
    )
    _trigger(
        "sessions",
        "refuse_truncate",
        "BEFORE TRUNCATE ON sessions FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    )


def _version_permissions() -> None:
    for statement, table, name in (
        (BUMP_USER, "user_roles", "bump_permission_version_of_user()"),
        (BUMP_ROLE, "role_permissions", "bump_permission_version_of_role()"),
    ):
        op.execute(statement)
        op.execute(f"REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC")
        _trigger(
            table,
            "bump_permission_version",
            f"AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {name}",
        )


def _trigger(table: str, name: str, definition: str) -> None:
    op.execute(f"CREATE TRIGGER {name} {definition}")
    op.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def _id() -> sa.Column[object]:
    return sa.Column("id", sa.Uuid(), server_default=sa.text("uuidv7()"), nullable=False)


def _text(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _count(name: str, start: int) -> sa.Column[object]:
    return sa.Column(name, sa.Integer(), server_default=sa.text(str(start)), nullable=False)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _time(name: str) -> sa.Column[object]:
    return sa.Column(
        name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
    )


def _reference(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_{column}_{target.partition('.')[0]}"
    return sa.ForeignKeyConstraint([column], [target], name=name, ondelete="CASCADE")
