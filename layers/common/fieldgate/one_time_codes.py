"""The code of a challenge: derived, never stored (in the manner of RFC 4226, section 5.3).

A resend repeats the code, a worker that sends it needs nothing but the challenge's id, and a leaked
table holds no code.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, Field, Json, model_validator

from fieldgate.keyed_hash import keyed_hash
from fieldgate.settings import Settings, load

CODE_DIGITS = 6


class FixedCode(BaseModel):
    """A code that never changes, for one number and until the end of a day (UTC)."""

    code: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    until: date


class OneTimeCodeSettings(Settings):
    """How codes are handed out. Development mode and fixed codes don't start in production."""

    environment: str = "unknown"
    otp_dev_mode: bool = False
    # {"+254711000009": {"code": "000000", "until": "2026-12-31"}}: for reviewers of app stores.
    otp_fixed_codes: Json[dict[str, FixedCode]] = Field(default_factory=dict)
    otp_minutes: Annotated[int, Field(ge=1, le=60)] = 10
    otp_max_attempts: Annotated[int, Field(ge=1, le=10)] = 5
    otp_max_sends: Annotated[int, Field(ge=1, le=10)] = 5

    @model_validator(mode="after")
    def _safe_in_production(self) -> Self:
        if self.environment == "production" and (self.otp_dev_mode or self.otp_fixed_codes):
            raise ValueError("OTP_DEV_MODE and OTP_FIXED_CODES are not for production")
        return self


def code_for(challenge_id: UUID, phone: str, *, now: datetime | None = None) -> str:
    """Return the six digits that prove `phone` (E.164) for one challenge.

    Raises:
        ConfigurationError: the settings are wrong, or not for this environment.
        Unavailable: the secret cannot be read.

    """
    return _fixed_codes(now).get(phone) or _derived_code(challenge_id)


@dataclass(frozen=True)
class Judgement:
    """Whether a typed code is right; for the phones of `by_phone`, what stands there counts."""

    right: bool
    by_phone: dict[str, bool]


def judge(challenge_id: UUID, typed: str, *, now: datetime | None = None) -> Judgement:
    """Compare a typed code with the right one, in constant time, before the phone is known.

    Raises what `code_for` does.
    """
    right = hmac.compare_digest(_derived_code(challenge_id), typed)
    fixed = _fixed_codes(now).items()
    return Judgement(right, {phone: hmac.compare_digest(code, typed) for phone, code in fixed})


def _fixed_codes(now: datetime | None) -> dict[str, str]:
    today = (now or datetime.now(UTC)).date()
    fixed = load(OneTimeCodeSettings).otp_fixed_codes
    return {phone: fixed.code for phone, fixed in fixed.items() if today <= fixed.until}


def _derived_code(challenge_id: UUID) -> str:
    digest = keyed_hash("one-time code", challenge_id.bytes)
    # 256 bits over a million values: no value is likelier than another by more than 2^-236.
    return f"{int.from_bytes(digest) % 10**CODE_DIGITS:0{CODE_DIGITS}}"
