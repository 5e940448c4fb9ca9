"""What the API shows of a user."""

from typing import Any, Literal, Self
from uuid import UUID

from fieldgate.http.envelope import ApiModel, UtcTime
from identity.store import User

# Nobody becomes `pending` here: older systems had users who had not proved their phone.
type AnyStatus = Literal["pending", "active", "blocked"]


class Profile(ApiModel):
    id: UUID
    name: str
    phone: str | None
    email: str | None
    roles: list[str]
    permissions: list[str]
    two_factor_enabled: bool

    @classmethod
    def of(cls, user: User) -> Self:
        shown: dict[str, Any] = {name: getattr(user, name) for name in cls.model_fields}
        return cls(**shown | {"permissions": sorted(user.permissions)})


class UserView(Profile):
    """A user, as admins see them."""

    status: AnyStatus
    created_at: UtcTime
