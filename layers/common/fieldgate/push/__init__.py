"""Push notifications behind a small Protocol: Firebase Cloud Messaging, or nobody.

What the provider says of a message is one of `Outcome`; none of it holds the token or the text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

type Platform = Literal["android", "ios", "web"]
type AddressKind = Literal["token", "fid"]
"""What FCM knows an installed app by: its registration token, or its Firebase installation id."""

type Verdict = Literal[
    "sent",
    # There is no such app any more: never again.
    "unregistered",
    # The token is of another project; or, where all are, ours is.
    "sender_mismatch",
    # This message, to whomever, will never be taken: too long, or malformed.
    "bad_message",
    # Another try may do, later: too much at once, a fault of theirs, no answer in time.
    "passing",
    # No message will be taken until somebody acts: credentials, project, API not enabled.
    "misconfigured",
    # It was not tried: the time was up, or nothing was answered any more.
    "not_tried",
]


@dataclass(frozen=True)
class Outcome:
    """What became of a message; `reason` is a stable word, fit for a log.

    `retry_after` are the seconds that the provider asks to be left alone for, if it says so.
    """

    verdict: Verdict
    reason: str = ""
    retry_after: float | None = None


@dataclass(frozen=True)
class PushMessage:
    """One message to one installed app.

    Messages of one `collapse_key` replace each other on a phone. `badge` is what stands on the
    app's icon, 1 or more. Keys and values of `data` are texts.
    """

    address: str = field(repr=False)
    address_kind: AddressKind
    title: str = field(repr=False)
    body: str = field(repr=False)
    channel: str
    collapse_key: str
    badge: int
    data: Mapping[str, str] = field(default_factory=dict, repr=False)


class Pusher(Protocol):
    """Who messages are handed to; `provider` is its stable name.

    `sender` is as whom: a project's id, known once something was handed over.
    """

    provider: str
    sender: str

    def send_each(self, messages: Sequence[PushMessage], seconds: float) -> list[Outcome]:
        """Hand over messages, each once; begin none after `seconds`, nor raise.

        Returns:
            An outcome for each, in the order of `messages`.

        """
        ...
