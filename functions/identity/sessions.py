"""Sessions and their refresh tokens (RFC 9700, section 4.14: rotation, and what a replay means).

A refresh token is 80 bytes, in base64url: the session's id, 32 bytes that change with every use,
and a mark (HMAC) that it is ours. Each token's successor follows from it and our secret, so two
requests with the same token get the same successor, although only hashes are stored.
"""

import base64
import hashlib
import hmac
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field

from fieldgate.errors import Unauthorized
from fieldgate.keyed_hash import keyed_hash
from fieldgate.settings import Settings, load

type Profile = Literal["web", "mobile"]

_ID_BYTES, _CHANGING_BYTES, _MARK_BYTES = 16, 32, 32


class SessionSettings(Settings):
    """How long a session rests unused before it ends, by the kind of client."""

    refresh_token_minutes: Annotated[int, Field(ge=1)] = 180
    mobile_refresh_token_days: Annotated[int, Field(ge=1)] = 30
    # How long the token just used still gets its successor: for requests that race.
    refresh_reuse_seconds: Annotated[int, Field(ge=0, le=300)] = 30

    @property
    def reuse_time(self) -> timedelta:
        return timedelta(seconds=self.refresh_reuse_seconds)

    def lifetime(self, profile: Profile) -> timedelta:
        if profile == "mobile":
            return timedelta(days=self.mobile_refresh_token_days)
        return timedelta(minutes=self.refresh_token_minutes)


@dataclass(frozen=True)
class RefreshToken:
    """A token that carries our mark. Whether it is good still, the database knows."""

    session_id: UUID
    changing: bytes = field(repr=False)

    @classmethod
    def first(cls, session_id: UUID) -> Self:
        return cls(session_id, secrets.token_bytes(_CHANGING_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a token that a client sent.

        Raises:
            Unauthorized: it is not one of ours, or not as we made it.

        """
        try:
            raw = base64.b64decode(text.encode("ascii"), altchars=b"-_", validate=True)
        except ValueError:  # of which UnicodeEncodeError is one
            raw = b""
        body, mark = raw[: _ID_BYTES + _CHANGING_BYTES], raw[_ID_BYTES + _CHANGING_BYTES :]
        if len(raw) != _ID_BYTES + _CHANGING_BYTES + _MARK_BYTES or not hmac.compare_digest(
            mark, keyed_hash("refresh token", body)
        ):
            raise Unauthorized("A valid refresh token is needed.")
        return cls(UUID(bytes=body[:_ID_BYTES]), body[_ID_BYTES:])

    @property
    def text(self) -> str:
        """The token as the client keeps it."""
        body = self.session_id.bytes + self.changing
        return base64.urlsafe_b64encode(body + keyed_hash("refresh token", body)).decode()

    @property
    def hash(self) -> bytes:
        """What is stored of it."""
        return hashlib.sha256(self.session_id.bytes + self.changing).digest()

    def successor(self) -> "RefreshToken":
        changing = keyed_hash("refresh successor", self.session_id.bytes + self.changing)
        return RefreshToken(self.session_id, changing)


@dataclass(frozen=True)
class NewSession:
    """A session that is about to be stored.

    Without a `profile` it gets that of the login before, if there was one, or else `web`.
    """

    token: RefreshToken
    profile: Profile | None
    settings: SessionSettings

    @classmethod
    def of(cls, profile: Profile | None = None) -> Self:
        return cls(RefreshToken.first(uuid.uuid4()), profile, load(SessionSettings))
