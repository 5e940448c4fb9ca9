"""What phones and admins write into requests about realtime, and what is refused of it."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from fieldgate.http import ApiModel
from realtime import audiences


def _channels(names: str) -> list[str]:
    return audiences.channel_names(names.split(","))


Channel = Annotated[str, AfterValidator(audiences.channel_name)]
# Names with commas between them, as a query has them.
Channels = Annotated[str, AfterValidator(_channels)]
Role = Annotated[str, Field(max_length=100)]


class Audience(ApiModel):
    """Whom a broadcast is for: whoever is any of these."""

    user_ids: Annotated[tuple[UUID, ...], Field(max_length=100)] = ()
    roles: Annotated[tuple[Role, ...], Field(max_length=20)] = ()
    channels: Annotated[tuple[Channel, ...], Field(max_length=audiences.MAX_CHANNELS)] = ()

    @model_validator(mode="after")
    def _names_somebody(self) -> Self:
        # That it were everybody is the last thing to be guessed.
        if not (self.user_ids or self.roles or self.channels):
            raise ValueError("names nobody; leave it out for everybody")
        return self


class Broadcast(ApiModel):
    """What is announced: a thing, or `*` for all of its type, and what became of it."""

    entity_type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,49}$")]
    entity_id: Annotated[str, Field(pattern=r"^([A-Za-z0-9_.-]{1,100}|\*)$")]
    action: Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,49}$")]
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
