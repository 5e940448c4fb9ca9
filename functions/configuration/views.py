"""What the API shows of the configuration."""

from typing import Any, Self

from configuration.store import Past, Stored
from fieldgate.configuration import Setting
from fieldgate.http.envelope import ApiModel, UtcTime


class SettingView(ApiModel):
    """A key: its `value` is in force if it is `active`, else its `default` is.

    One that nobody has set has its default as value, and version 0.
    """

    key: str
    value: Any
    default: Any
    type: str
    category: str
    description: str
    active: bool
    version: int
    updated_at: UtcTime | None

    @classmethod
    def of(cls, setting: Setting, stored: Stored | None) -> Self:
        return cls(
            key=setting.key,
            value=stored.value if stored else setting.default,
            default=setting.default,
            type=setting.type,
            category=setting.category,
            description=setting.description,
            active=stored.active if stored else True,
            version=stored.version if stored else 0,
            updated_at=stored.updated_at if stored else None,
        )


class PastView(ApiModel):
    """A version of a key, and the id of the user who made it, if the service knows."""

    version: int
    value: Any
    active: bool
    actor: str | None
    at: UtcTime

    @classmethod
    def of(cls, past: Past) -> Self:
        return cls(**vars(past))
