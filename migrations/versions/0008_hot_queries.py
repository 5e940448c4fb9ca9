"""Indexes that keep a page, a round and a broadcast as quick among a million rows as among few.

Making an index waits for who writes to its table, and keeps them waiting until it is there: of a
million rows about a second. Where that is too long, make them by hand before the deployment, under
these names and with CREATE INDEX CONCURRENTLY, which isn't possible in a transaction: what is there
is left as it is. `docs/operations.md` has the statements.
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_NEWEST_FIRST = [sa.text("created_at DESC"), sa.text("id DESC")]
_MEDIA_ALIVE = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    # Everybody's media, for who may see them; a folder's.
    op.create_index(
        "ix_media_page",
        "media",
        _NEWEST_FIRST,
        postgresql_where=_MEDIA_ALIVE,
        if_not_exists=True,
    )
    op.create_index(
        "ix_media_folder_page",
        "media",
        ["folder", *_NEWEST_FIRST],
        postgresql_where=_MEDIA_ALIVE,
        if_not_exists=True,
    )
    # Who is blocked or pending: few, wherever they are among all.
    op.create_index(
        "ix_users_inactive_page",
        "users",
        _NEWEST_FIRST,
        postgresql_where=sa.text("status <> 'active'"),
        if_not_exists=True,
    )
    # Who follows a channel.
    op.create_index(
        "ix_realtime_connections_channels",
        "realtime_connections",
        ["channels"],
        postgresql_using="gin",
        postgresql_where=sa.text("channels <> '{}'"),
        if_not_exists=True,
    )
    op.create_index(
        "ix_realtime_connections_connected_at",
        "realtime_connections",
        ["connected_at"],
        if_not_exists=True,
    )


def downgrade() -> None:
    op.drop_index("ix_realtime_connections_connected_at", "realtime_connections")
    op.drop_index("ix_realtime_connections_channels", "realtime_connections")
    op.drop_index("ix_users_inactive_page", "users")
    op.drop_index("ix_media_folder_page", "media")
    op.drop_index("ix_media_page", "media")
