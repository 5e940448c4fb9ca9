"""Whom an event is for, and who somebody is to the stream: both are sets of short texts.

| text               | for                                                    |
|--------------------|--------------------------------------------------------|
| `all`              | everybody                                              |
| `user:{id}`        | one user                                               |
| `role:{name}`      | whoever has the role now                               |
| `permission:{it}`  | whoever has the permission now                         |
| `channel:{name}`   | whoever subscribed, and may see what is told there now |

Somebody sees an event whose audiences have one of theirs among them. A channel is a topic, or a
topic and one thing of it: `shipments`, `shipments:123`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fieldgate.errors import Forbidden

EVERYBODY = "all"

# What one connection may follow, and one request may name.
MAX_CHANNELS = 100
TOO_MANY_CHANNELS = f"There may be {MAX_CHANNELS} channels at most."
CHANNEL = re.compile(r"[a-z][a-z0-9_-]{0,49}(?::[A-Za-z0-9_.-]{1,100})?", re.ASCII)
_NO_CHANNEL = (
    "A channel is named like shipments or shipments:123: the topic in lower case, up to 50"
    " characters, then up to 100 of A-Z a-z 0-9 _ . and -."
)

# The permission that it takes to see what is told of a topic; of others whoever asks may. One's own
# things are told without a subscription.
GUARDED_TOPICS: Mapping[str, str] = {
    "media": "media:read_all",
    "users": "users:read",
    "stock_lots": "stock:read",
    "stock_losses": "stock:read",
    "configuration": "config:write",
    "notifications": "notifications:send",
}


@dataclass(frozen=True)
class Viewer:
    """Somebody, as the database knows them now, and the channels that they subscribed to."""

    user_id: UUID
    roles: Iterable[str]
    permissions: frozenset[str]
    channels: Iterable[str] = ()

    def audiences(self) -> frozenset[str]:
        """Return every audience that the viewer is of."""
        return frozenset(
            [
                EVERYBODY,
                user(self.user_id),
                *map(role, self.roles),
                *map(permission, self.permissions),
                *(channel(name) for name in self.channels if may_follow(self.permissions, name)),
            ]
        )


def user(user_id: UUID | str) -> str:
    return f"user:{user_id}"


def role(name: str) -> str:
    return f"role:{name}"


def permission(name: str) -> str:
    return f"permission:{name}"


def channel(name: str) -> str:
    return f"channel:{name}"


def channels_of(entity_type: str, entity_id: str) -> tuple[str, str]:
    """Return the audiences of who follows the topic, and of who follows this one thing."""
    return channel(entity_type), channel(f"{entity_type}:{entity_id}")


def may_follow(permissions: frozenset[str], channel_name: str) -> bool:
    """Say whether somebody with these permissions may see what is told in a channel."""
    needed = GUARDED_TOPICS.get(channel_name.partition(":")[0])
    return needed is None or needed in permissions


def check_may_follow(permissions: frozenset[str], channel_names: Iterable[str]) -> None:
    """Raise Forbidden when one of the channels isn't for somebody with these permissions."""
    for name in channel_names:
        if not may_follow(permissions, name):
            raise Forbidden(f"The channel {name} takes a permission that you don't have.")


def channel_name(name: Any) -> str:
    """Return what somebody says is a channel; raises ValueError, for them to read, if it isn't."""
    if not isinstance(name, str) or not CHANNEL.fullmatch(name):
        raise ValueError(_NO_CHANNEL)
    return name


def channel_names(names: Any) -> list[str]:
    """Return what somebody says are channels, at least one, each once; raises as `channel_name`."""
    if not isinstance(names, list) or not names:
        raise ValueError("Channels are a list of at least one name.")
    if len(names) > MAX_CHANNELS:
        raise ValueError(TOO_MANY_CHANNELS)
    return sorted(set(map(channel_name, names)))
