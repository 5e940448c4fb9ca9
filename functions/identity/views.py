"""What the API shows of a user."""

from typing import Literal, Self
from uuid import UUID

from fieldgate.http.envelope import ApiModel
from fieldgate.tokens import Subject, issue
from identity.store import User


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
        return cls(
            id=user.id,
            name=user.name,
            phone=user.phone,
            email=user.email,
            roles=user.roles,
            permissions=sorted(user.permissions),
            two_factor_enabled=user.two_factor_enabled,
        )


class Tokens(ApiModel):
    """`expires_in` counts seconds. `refresh_token` is null until sessions exist."""

    access_token: str
    refresh_token: str | None
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 a scheme, not a secret
    expires_in: int
    user: Profile

    @classmethod
    def for_user(cls, user: User) -> Self:
        token = issue(Subject(user.id, user.roles, user.permissions, user.permission_version))
        return cls(
            access_token=token.text,
            refresh_token=None,
            expires_in=int(token.expires_in.total_seconds()),
            user=Profile.of(user),
        )
