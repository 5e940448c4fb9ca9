"""What the API shows of a user."""

from typing import Any, Literal, Self
from uuid import UUID

from fieldgate.http.envelope import ApiModel, UtcTime
from fieldgate.tokens import Subject, issue
from identity.sessions import NewSession, RefreshToken
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
        shown: dict[str, Any] = {name: getattr(user, name) for name in cls.model_fields}
        return cls(**shown | {"permissions": sorted(user.permissions)})


class UserView(Profile):
    """A user, as admins see them."""

    status: Literal["pending", "active", "blocked"]
    created_at: UtcTime


class Tokens(ApiModel):
    """What a session lives on. `expires_in` counts seconds, of the access token."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 a scheme, not a secret
    expires_in: int
    user: Profile

    @classmethod
    def of(cls, user: User, session: NewSession) -> Self:
        return cls.with_refresh_token(user, session.token)

    @classmethod
    def with_refresh_token(cls, user: User, refresh_token: RefreshToken) -> Self:
        subject = Subject(
            user.id,
            user.roles,
            user.permissions,
            user.permission_version,
            refresh_token.session_id,
        )
        token = issue(subject)
        return cls(
            access_token=token.text,
            refresh_token=refresh_token.text,
            expires_in=int(token.expires_in.total_seconds()),
            user=Profile.of(user),
        )
