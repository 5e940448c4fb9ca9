"""From a request for a code to the answer, with the text on its way."""

from collections.abc import Callable

from sqlalchemy import Connection

from fieldgate.sms.waking import wake_sender
from identity.challenge_view import ChallengeView
from identity.challenging import OpenedChallenge

type Work = Callable[[Connection], ChallengeView]


def challenge(
    transact: Callable[[Work], ChallengeView], open_: Callable[[Connection], OpenedChallenge]
) -> ChallengeView:
    """Open a challenge in a transaction, and after its commit wake who sends the text.

    A repeated request, whose first answer `transact` knows, sends nothing.
    """
    opened: list[OpenedChallenge] = []

    def work(connection: Connection) -> ChallengeView:
        opened.append(open_(connection))
        return ChallengeView.of(opened[-1])

    view = transact(work)
    if opened:
        # Also where nobody is to get a text: the time must not tell.
        wake_sender(opened[-1].message_id)
    return view
