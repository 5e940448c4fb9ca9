"""What phones and admins write into requests about realtime, and what is refused of it."""

import re
from collections.abc import Mapping
from typing import Annotated, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from fieldgate.http import RequestModel
from realtime import audiences

# Of an audience's parts.
MOST: Mapping[str, int] = {"user_ids": 100, "roles": 20, "channels": audiences.MAX_CHANNELS}
MAX_ROLE_CHARS = 100

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,49}", re.ASCII)
_ENTITY_ID = re.compile(r"[A-Za-z0-9_.-]{1,100}|\*", re.ASCII)


def _channels(names: str) -> list[str]:
    return audiences.channel_names(names.split(","))


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError("must be a lower-case letter and then up to 49 of a-z 0-9 _ and -")
    return value


def _entity_id(value: object) -> str:
    if not isinstance(value, str) or not _ENTITY_ID.fullmatch(value):
        raise ValueError("must be up to 100 of A-Z a-z 0-9 _ . and -, or * for all of the type")
    return value


def _user_id(value: object) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(str(value))
    except ValueError:
        raise ValueError("is not a user's id, which is a UUID") from None


def _role(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_ROLE_CHARS:
        raise ValueError("is not a role")
    return value


def _text(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern})$"})


Name = Annotated[str, PlainValidator(_name), _text(_NAME.pattern)]
EntityId = Annotated[str, PlainValidator(_entity_id), _text(_ENTITY_ID.pattern)]
UserId = Annotated[
    UUID, PlainValidator(_user_id), WithJsonSchema({"type": "string", "format": "uuid"})
]
Role = Annotated[
    str,
    PlainValidator(_role),
    WithJsonSchema({"type": "string", "maxLength": MAX_ROLE_CHARS}),
]
Channel = Annotated[str, PlainValidator(audiences.channel_name), _text(audiences.CHANNEL.pattern)]
# Names with commas between them, as a query has them.
Channels = Annotated[
    str,
    AfterValidator(_channels),
    _text(f"{audiences.CHANNEL.pattern}(,{audiences.CHANNEL.pattern})*"),
]


class Audience(RequestModel):
    """Whom a broadcast is for: whoever is any of these."""

    user_ids: tuple[UserId, ...] = ()
    roles: tuple[Role, ...] = ()
    channels: tuple[Channel, ...] = ()

    @field_validator("user_ids", "roles", "channels", mode="before")
    @classmethod
    def _is_no_long_list(cls, value: object, info: ValidationInfo) -> object:
        """Look at the length before anything looks at what is in it."""
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list")  # noqa: TRY004 pydantic lets TypeErrors through
        most = MOST[str(info.field_name)]
        if len(value) > most:
            raise ValueError(f"may have {most} entries at most")
        return value

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        # That it were everybody is the last thing to be guessed.
        if not (self.user_ids or self.roles or self.channels):
            raise ValueError("names nobody; leave it out for everybody")
        return self


class Broadcast(RequestModel):
    """What is announced: a thing, or `*` for all of its type, and what became of it."""

    entity_type: Name
    entity_id: EntityId
    action: Name
    audience: Audience | None = None

    def told(self) -> list[str]:
        """Return the audiences as the stream has them: everybody where none is named."""
        if self.audience is None:
            return [audiences.EVERYBODY]
        named = [
            *map(audiences.user, self.audience.user_ids),
            *map(audiences.role, self.audience.roles),
            *map(audiences.channel, self.audience.channels),
        ]
        return list(dict.fromkeys(named))
