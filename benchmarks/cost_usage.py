"""How often people do what: the assumptions of `benchmarks.costs`, all to be changed here."""

from collections.abc import Mapping
from dataclasses import dataclass

# What one active person does. (value, why)
USAGE: dict[str, tuple[float, str]] = {
    "days a month": (22, "working days"),
    "codes a month": (1, "a phone's session lasts 30 days"),
    "hours connected a day": (6, "the app is in front, or a screen is open, most of the day"),
    "seconds from ping to ping": (15, "a SignalR client's own interval"),
    "connections a day": (10, "the network is lost, and the app comes to the front again"),
    "photos a day": (8, "one of each plot"),
    "MB a photo": (1.5, "as phones make them, kept as the original"),
    "documents a day": (0.5, "2 MB each, in chunks of 512 KiB"),
    "looks at media a day": (12, ""),
    "pictures fetched a look": (4, "those that the phone has not kept"),
    "looks at the inbox a day": (10, ""),
    "looks at stock a day": (6, ""),
    "pushes a day": (3, ""),
    "months kept": (12, "of originals and pictures"),
    "texts a code": (1.1, "some ask for another one"),
}


@dataclass(frozen=True)
class Usage:
    """How often each thing is done a month by one person, by feature."""

    values: Mapping[str, float]

    def features(self) -> dict[str, dict[str, float]]:
        """Return how often each thing of `cost_field` is done, feature by feature."""
        use = self.values
        days = use["days a month"]
        looks, connections = use["looks at media a day"], use["connections a day"]
        pings = use["hours connected a day"] * 3600 / use["seconds from ping to ping"]
        return {
            "sign-in and sessions": {
                "sign in by code": use["codes a month"],
                # An access token is good for an hour.
                "refresh the session": days * use["hours connected a day"],
            },
            "photos": {"send a photo": days * use["photos a day"]},
            "documents": {"send a document": days * use["documents a day"]},
            "browsing": {
                "look at media": days * looks,
                "fetch a picture": days * looks * use["pictures fetched a look"],
            },
            "stock": {"look at stock": days * use["looks at stock a day"]},
            "push and inbox": {
                "register the phone": days,
                "get a push": days * use["pushes a day"],
                "look at the inbox": days * use["looks at the inbox a day"],
            },
            "realtime": {
                "connect": days * connections,
                "catch up": days * connections,
                "ping": days * pings,
            },
        }

    @property
    def connection_minutes(self) -> float:
        return self.values["days a month"] * self.values["hours connected a day"] * 60

    @property
    def kept_gb(self) -> float:
        """What storage comes to hold of one person: originals, pictures, documents."""
        photos = self.values["photos a day"] * (self.values["MB a photo"] + 0.1)
        documents = self.values["documents a day"] * 2
        days = self.values["days a month"] * self.values["months kept"]
        return days * (photos + documents) / 1024


def usual() -> Usage:
    return Usage({name: value for name, (value, _) in USAGE.items()})
