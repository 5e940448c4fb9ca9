"""What the API shows of a device, of what somebody was told, and of what they want to hear."""

from datetime import time
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field, PlainSerializer

from fieldgate.http.envelope import ApiModel, UtcTime
from push.device_store import Device
from push.inbox_store import Entry
from push.preference_store import Stored


def _clock(shown: time) -> str:
    return f"{shown:%H:%M}"


ShownClock = Annotated[time, PlainSerializer(_clock, return_type=str)]


class DeviceId(ApiModel):
    device_id: UUID


class DeviceView(ApiModel):
    """`state` is `active`; `stale`, unseen for so long that nothing is pushed to it; or `disabled`.

    It is disabled when the provider says that there is no such app any more. An app that registers
    again is active, whichever it was.
    """

    id: UUID
    platform: str
    kind: str
    app_version: str | None
    created_at: UtcTime
    last_seen_at: UtcTime
    state: str

    @classmethod
    def of(cls, device: Device) -> Self:
        return cls(**vars(device))


class EntryView(ApiModel):
    """A notification in somebody's inbox."""

    id: UUID
    kind: str
    title: str
    body: str
    data: dict[str, str]
    created_at: UtcTime
    read_at: UtcTime | None

    @classmethod
    def of(cls, entry: Entry) -> Self:
        return cls(**vars(entry))


class ReadMark(ApiModel):
    id: UUID
    read_at: UtcTime


class QuietHoursView(ApiModel):
    begin: Annotated[ShownClock, Field(alias="from")]
    end: Annotated[ShownClock, Field(alias="to")]
    time_zone: str


class PreferencesView(ApiModel):
    quiet_hours: QuietHoursView | None
    muted: list[str]

    @classmethod
    def of(cls, stored: Stored) -> Self:
        quiet_hours = None
        if stored.quiet_from and stored.quiet_to and stored.time_zone:
            quiet_hours = QuietHoursView(
                begin=stored.quiet_from, end=stored.quiet_to, time_zone=stored.time_zone
            )
        return cls(quiet_hours=quiet_hours, muted=list(stored.muted))
