"""Telling users and roles something, on somebody's word."""

import re
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator
from sqlalchemy import Connection

from fieldgate.db.engine import Database
from fieldgate.db.known_caller import a_known_caller
from fieldgate.http import ApiModel, RequestModel
from fieldgate.http.idempotency import IdempotentRequest
from fieldgate.push import payload
from fieldgate.push.kinds import GENERAL, Kind
from fieldgate.push.notifying import NewNotification, notify, wake_pushers
from fieldgate.roles import check_roles

MOST_USERS = 1_000
MOST_ROLES = 20

# FCM refuses these, or gives them a meaning of its own; the last two are ours.
_RESERVED_KEYS = frozenset(
    {"from", "notification", "message_type", "collapse_key", "notificationId", "kind"}
)
_KEY = re.compile(r"(?!google\.|gcm\.)[A-Za-z][A-Za-z0-9_.-]{0,63}")


def _shown(text: str) -> str:
    """Refuse what no phone shows and no database keeps."""
    if any(ord(character) < ord(" ") and character != "\n" for character in text):
        raise ValueError("has control characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("has half of a surrogate pair") from None
    return text


type Text = Annotated[str, AfterValidator(_shown)]
type Trimmed = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1), AfterValidator(_shown)
]
type Role = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,49}$")]


class Audience(RequestModel):
    """Whom it is for: each of these users, and whoever has one of these roles."""

    user_ids: Annotated[tuple[UUID, ...], Field(max_length=MOST_USERS)] = ()
    roles: Annotated[tuple[Role, ...], Field(max_length=MOST_ROLES)] = ()

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        if not (self.user_ids or self.roles):
            raise ValueError("names nobody")
        return self


class Notification(RequestModel):
    """What somebody wants told. All of it must fit into one push (docs/push.md)."""

    audience: Audience
    title: Annotated[Trimmed, Field(max_length=200)]
    body: Annotated[Trimmed, Field(max_length=4000)]
    data: dict[str, Text] = Field(default_factory=dict)
    channel: Kind = GENERAL

    @field_validator("data")
    @classmethod
    def _keys_are_free(cls, data: dict[str, str]) -> dict[str, str]:
        for key in data:
            if key in _RESERVED_KEYS or not _KEY.fullmatch(key):
                raise ValueError(
                    "keys begin with a letter, have 64 of A-Z a-z 0-9 _ . - at most,"
                    f" and are none of {', '.join(sorted(_RESERVED_KEYS))}, google.*, gcm.*"
                )
        return data

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not payload.fits(self.title, self.body, self.data):
            most = payload.MAX_BYTES - payload.RESERVED_BYTES
            size = payload.size(self.title, self.body, self.data)
            raise ValueError(f"title, body and data take {size} bytes of a push; {most} fit")
        return self


class Accepted(ApiModel):
    """It is in the inboxes of the first recipients, and on its way."""

    notification_id: UUID


def send(
    request: IdempotentRequest, database: Database, created_by: UUID, wanted: Notification
) -> Accepted:
    """Write a notification down for the workers, once a request.

    Users that there aren't, or that are blocked, are passed over: the counts tell.

    Raises:
        ValidationFailed: it is for a role that there isn't.
        Unauthorized: `created_by` is no user (any more).

    """
    new = NewNotification(
        kind=wanted.channel,
        title=wanted.title,
        body=wanted.body,
        data=wanted.data,
        user_ids=list(dict.fromkeys(wanted.audience.user_ids)),
        roles=wanted.audience.roles,
        created_by=created_by,
    )

    def add(connection: Connection) -> Accepted:
        check_roles(connection, new.roles, "audience.roles")
        return Accepted(notification_id=notify(connection, new))

    with a_known_caller():
        accepted = request.transact(database, add, Accepted, actor=str(created_by))
    wake_pushers()
    return accepted
