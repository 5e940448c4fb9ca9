"""From a request for a code to the answer, with the text on its way."""

from collections.abc import Callable
from uuid import UUID

from sqlalchemy import Connection

from fieldgate.sms.waking import wake_sender
from identity.challenge_view import ChallengeView
from identity.challenging import OpenedChallenge

type Work = Callable[[Connection], ChallengeView]


def open_and_wake(
    transact: Callable[[Work], ChallengeView], open_: Callable[[Connection], OpenedChallenge]
) -> ChallengeView:
    """Open a challenge in a transaction, and after its commit wake who sends the text.

    A repeated request, whose first answer `transact` knows, sends nothing.
    """
    messages: dict[UUID, UUID | None] = {}

    def work(connection: Connection) -> ChallengeView:
        messages.clear()  # an attempt before this one was rolled back
        opened = open_(connection)
        messages[opened.id] = opened.message_id
        return ChallengeView.of(opened)

    view = transact(work)
    # Not there: the answer is that of another request, which may have finished after we began.
    if view.challenge_id in messages:
        # Also where nobody is to get a text: the time must not tell.
        wake_sender(messages[view.challenge_id])
    return view
