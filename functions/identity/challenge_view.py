"""What the API shows of a challenge."""

from typing import Self
from uuid import UUID

from fieldgate.http.envelope import ApiModel, UtcTime
from identity.challenging import OpenedChallenge


class ChallengeView(ApiModel):
    challenge_id: UUID
    expires_at: UtcTime
    resend_after: UtcTime

    @classmethod
    def of(cls, challenge: OpenedChallenge) -> Self:
        return cls(
            challenge_id=challenge.id,
            expires_at=challenge.expires_at,
            resend_after=challenge.resend_after,
        )
