"""What the API gives to who signed in."""

from typing import Literal, Self

from fieldgate.http.envelope import ApiModel
from identity.sessions import NewSession, RefreshToken
from identity.store import User
from identity.views import Profile


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
        from fieldgate.tokens import Subject, issue

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
