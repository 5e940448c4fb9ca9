"""What signs whom in: a person's credentials, and a field agent's."""

from enum import Enum
from typing import Literal

from fieldgate.settings import Settings, load
from identity.store import User


class SignInSettings(Settings):
    """`otp`: agents have phones that are handed on, so that a password would be known to many."""

    agent_sign_in: Literal["any", "otp"] = "any"


class Strategy(Enum):
    PERSON = "a password, or a code sent to the phone"
    AGENT = "a code sent to the phone"
    TWO_FACTOR = "a password, and then a code sent to the phone"


def strategy_of(user: User) -> Strategy:
    """Say how `user` signs in. Who asked for two factors is never let in by one."""
    if user.two_factor_enabled:
        return Strategy.TWO_FACTOR
    if "agent" in user.roles and load(SignInSettings).agent_sign_in == "otp":
        return Strategy.AGENT
    return Strategy.PERSON
