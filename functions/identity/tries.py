"""A code that was typed in, and what came of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True)
class Try:
    """A code that was typed for a challenge, and whether it is right.

    `right_by_phone` overrules `right` for the phones in it. `caller_id`, if given, is whose
    challenge it must be.
    """

    challenge_id: UUID
    right: bool
    right_by_phone: Mapping[str, bool]
    purposes: Sequence[str]
    max_attempts: int
    max_failures: int
    caller_id: UUID | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "id": self.challenge_id,
            "right": self.right,
            "right_by_phone": json.dumps(dict(self.right_by_phone)),
            "purposes": list(self.purposes),
            "max_attempts": self.max_attempts,
            "max_failures": self.max_failures,
            "caller_id": self.caller_id,
        }


@dataclass(frozen=True)
class Tried:
    """What came of it.

    `failed_at` are the phone's failed checks of the day before this one; None when there is no such
    challenge. `compared`: the challenge was open and the budget not used up. `won`: and the code
    was right.
    """

    now: datetime
    failed_at: Sequence[datetime] | None
    purpose: str | None
    compared: bool
    won: bool
