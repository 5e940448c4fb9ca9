"""Uploads in chunks, and what the clean-up of media looks for.

An upload's row is the working state of a transfer, gone within days; what becomes of the file is
told by its media. So there is no change log of it, as there is none of texts and challenges.

Where the functions' role is not the owner, it is granted:
    GRANT SELECT, INSERT, UPDATE, DELETE ON uploads TO app;
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.Uuid(), server_default=sa.func.uuidv7(), nullable=False),
        sa.Column("media_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("object_key", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text()),
        sa.Column("chunk_size", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'created'"), nullable=False),
        _count("consecutive_failures"),
        _count("received_at_failure"),
        sa.Column("failure_reason", sa.Text()),
        sa.Column("refused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        _moment("assembling_since"),
        _count("assembly_attempts"),
        sa.Column("multipart_id", sa.Text()),
        _moment("last_signed_at"),
        _time("created_at"),
        _time("updated_at"),
        _moment("expires_at", nullable=False),
        _moment("cleaned_at"),
        sa.PrimaryKeyConstraint("id", name="pk_uploads"),
        sa.UniqueConstraint("media_id", name="uq_uploads_media_id"),
        sa.ForeignKeyConstraint(["owner_id"], ["users.id"], name="fk_uploads_owner_id_users"),
        sa.CheckConstraint("size > 0", name="ck_uploads_size"),
        sa.CheckConstraint("chunk_size > 0", name="ck_uploads_chunk_size"),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name="ck_uploads_sha256_hex"),
        sa.CheckConstraint(
            "state IN ('created', 'uploading', 'assembling', 'completed', 'failed', 'aborted',"
            " 'expired')",
            name="ck_uploads_state",
        ),
        sa.CheckConstraint(
            "(state = 'failed') = (failure_reason IS NOT NULL)", name="ck_uploads_failure_reason"
        ),
    )
    op.create_index(
        "ix_uploads_uncleaned",
        "uploads",
        ["id"],
        postgresql_where=sa.text("cleaned_at IS NULL"),
    )
    op.create_index(
        "ix_uploads_cleaned_at",
        "uploads",
        ["cleaned_at"],
        postgresql_where=sa.text("cleaned_at IS NOT NULL"),
    )
    op.create_index(
        "ix_media_pending",
        "media",
        ["created_at"],
        postgresql_where=sa.text("state = 'pending' AND deleted_at IS NULL"),
    )
    op.create_index(
        "ix_media_hidden",
        "media",
        ["deleted_at"],
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_media_hidden", "media")
    op.drop_index("ix_media_pending", "media")
    op.drop_table("uploads")


def _count(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False)


def _moment(name: str, *, nullable: bool = True) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _time(name: str) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False)
