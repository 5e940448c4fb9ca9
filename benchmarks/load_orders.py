"""What the users of the load do: how often, how many, where."""

from dataclasses import asdict, dataclass
from typing import Any

# How often an hour an agent in the field does what. A visit to a farm takes a quarter of an hour:
# a photo of each plot, a look at what was sent, at the inbox and at stock; a contract at the end of
# the day; the profile and what was missed when the app comes to the front again.
HOURLY = {
    "browse media": 8,
    "send a photo": 4,
    "read the inbox": 6,
    "look at stock": 4,
    "send a document": 1,
    "open the profile": 2,
    "catch up": 3,
}
# A SignalR client's own interval; in real time at any pace.
PING_SECONDS = 15
ADDRESS_HEADER = "x-load-address"


@dataclass(frozen=True)
class Orders:
    """What `load_users` is told.

    Attributes:
        url: Of the API.
        realtime_url: Of the WebSocket.
        people: `{identifier, password, address, byCode}`, one a user; some users share one when
            there are fewer. An address is what the benchmarks' own gateway takes the phone's to be.
        users: How many at once.
        at_once: So many of them sign in at the same time.
        seconds: How long they work once all have signed in.
        pace: So many hours of work an hour; 1 is that of real people.
        photo: A JPEG, in hexadecimal.

    """

    url: str
    realtime_url: str
    people: list[dict[str, Any]]
    users: int
    at_once: int
    seconds: float
    pace: float
    photo: str

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "Orders":
        return cls(**content)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
