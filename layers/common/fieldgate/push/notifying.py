"""Telling people something: into their inbox, and from there to their phones.

    def work(connection):
        ...
        notify(connection, NewNotification(kind="general", title=..., body=..., roles=["agent"]))
    database.transact(work)
    wake_pushers()

What is written in a transaction is told if that is committed, and only then. A notification for
more than a page of people is written down for the first page here, and for the others by the
workers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection, text

from fieldgate import queues
from fieldgate.errors import Unavailable
from fieldgate.observability import logger
from fieldgate.push.kinds import Kind
from fieldgate.settings import Settings, load

# How many people one statement writes down: half a second.
PAGE = 5_000
# What a worker is woken with.
DUE = "pushes due"

_ADD = """
    INSERT INTO notifications (kind, title, body, data, collapse_key, user_ids, roles, permission,
        except_user_id, created_by, id)
    SELECT :kind, :title, :body, CAST(:data AS jsonb),
        coalesce(CAST(:collapse_key AS text), CAST(new.id AS text)), :user_ids, :roles,
        :permission, :except_user_id, :created_by, new.id
    FROM (SELECT uuidv7() AS id) AS new
    RETURNING id"""

# The next page of people, by id, and how far that is; each kind of audience by its own index.
# Somebody else who does the same is left to it. One more than a page of each role, as one may be
# left out. Users are asked for one by one: a join might read all of them for a role that few have.
_EXPAND = """
    WITH notification AS (
        SELECT *, coalesce(expanded_to, '00000000-0000-0000-0000-000000000000') AS after
        FROM notifications WHERE id = :id AND expanded_at IS NULL FOR UPDATE SKIP LOCKED
    ),
    told_roles AS (
        SELECT unnest(roles) AS role FROM notification
        UNION
        SELECT role FROM role_permissions, notification
        WHERE role_permissions.permission = notification.permission
    ),
    page AS (
        SELECT id FROM (
            SELECT users.id FROM notification, users
            WHERE users.id = ANY (user_ids) AND users.id > after AND status = 'active'
            UNION
            SELECT of_role.id FROM notification, told_roles, LATERAL (
                SELECT user_id AS id FROM user_roles
                WHERE user_roles.role = told_roles.role AND user_id > after
                    AND (SELECT status FROM users WHERE users.id = user_id) = 'active'
                ORDER BY user_id LIMIT CAST(:page AS integer) + 1) AS of_role
        ) AS told
        WHERE id IS DISTINCT FROM (SELECT except_user_id FROM notification)
        ORDER BY id LIMIT :page
    ),
    added AS (
        INSERT INTO notification_recipients (notification_id, user_id)
        SELECT notification.id, page.id FROM page, notification
        ON CONFLICT DO NOTHING
    )
    UPDATE notifications SET
        expanded_to = coalesce((SELECT id FROM page ORDER BY id DESC LIMIT 1), expanded_to),
        expanded_at = CASE WHEN (SELECT count(*) FROM page) < :page THEN now() END
    WHERE id = (SELECT id FROM notification)
    RETURNING (SELECT count(*) FROM page)"""


class PushQueueSettings(Settings):
    """Where the workers listen; empty where nobody is to be woken, as in a script."""

    push_queue_url: str = ""


@dataclass(frozen=True)
class NewNotification:
    """What to tell, and whom: each active user who is named, has a role, or has the permission.

    Of those with the same `collapse_key` a phone shows the last; by itself each has its own.
    """

    kind: Kind
    title: str
    body: str
    data: Mapping[str, str] = field(default_factory=dict)
    collapse_key: str | None = None
    user_ids: Sequence[UUID] = ()
    roles: Sequence[str] = ()
    permission: str | None = None
    except_user_id: UUID | None = None
    created_by: UUID | None = None


def notify(connection: Connection, new: NewNotification) -> UUID:
    """Write down a notification and its first recipients: two round trips. Returns its id.

    After the commit, `wake_pushers` is to be called.
    """
    import json

    values = {
        **vars(new),
        "data": json.dumps(dict(new.data)),
        "user_ids": list(new.user_ids),
        "roles": list(new.roles),
    }
    notification_id: UUID = connection.execute(text(_ADD), values).scalar_one()
    expand(connection, notification_id)
    return notification_id


def expand(connection: Connection, notification_id: UUID, page: int = PAGE) -> int:
    """Write down the next `page` recipients of a notification; fewer, and these are all."""
    values = {"id": notification_id, "page": page}
    return int(connection.execute(text(_EXPAND), values).scalar() or 0)


def wake_pushers(seconds: int = 0) -> None:
    """Say that pushes are due in so many seconds, at most 900. Never raises.

    The workers look by themselves every minute, so a word that gets lost only delays.
    """
    queue_url = load(PushQueueSettings).push_queue_url
    if not queue_url:
        return
    try:
        queues.send_batch(queue_url, [DUE], delay_seconds=seconds)
    except Unavailable:
        logger().warning("pushers not woken; they look by themselves within a minute")
