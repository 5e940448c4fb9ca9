"""How fast an upload is, and how long it takes: told of what has arrived, and only when known."""

import asyncio
from dataclasses import dataclass

import pytest

from fieldgate_client import progress as progress_module
from fieldgate_client.progress import (
    SPEED_KNOWN_AFTER_SECONDS,
    SPEED_WINDOW_SECONDS,
    Meter,
    Progress,
)
from fieldgate_client.upload_record import Chunk

CHUNK = 1000
CHUNKS = 100


@dataclass
class Upload:
    """An upload of a hundred chunks, by a clock of its own."""

    now: float = 50.0

    def __post_init__(self) -> None:
        self.meter = Meter(lambda: self.now)
        self.meter.begin(CHUNK * CHUNKS, 0, 0, self.chunks())

    def chunks(self) -> list[Chunk]:
        return [Chunk(number, CHUNK, "", False, 0) for number in range(1, CHUNKS + 1)]

    def goes_out(self, *numbers: int) -> None:
        for number in numbers:
            self.meter.went_out(number, CHUNK)

    def arrives(self, *numbers: int) -> None:
        for number in numbers:
            self.meter.acknowledge(number)

    def shown(self) -> tuple[float | None, float | None]:
        progress = self.meter.progress()
        return progress.speed, progress.remaining


def test_what_only_goes_out_has_no_speed() -> None:
    upload = Upload()
    for number in range(1, 11):
        upload.goes_out(number)
        upload.now += 1
        assert upload.shown() == (None, None)


def test_the_first_moments_tell_nothing() -> None:
    upload = Upload()
    upload.goes_out(1)
    upload.arrives(1)
    assert upload.shown() == (None, None)

    upload.now += SPEED_KNOWN_AFTER_SECONDS - 0.1
    assert upload.shown() == (None, None)

    upload.now += 0.1
    assert upload.shown() == (CHUNK / 2, (CHUNKS - 1) * 2)


def test_a_speed_is_that_of_the_last_seconds() -> None:
    upload = Upload()
    upload.goes_out(*range(1, 21))
    for number in range(1, 21):
        upload.arrives(number)
        upload.now += 1
    assert upload.shown() == (CHUNK, CHUNKS - 20)

    upload.now += SPEED_WINDOW_SECONDS
    upload.arrives(21, 22, 23)
    assert upload.shown() == (3 * CHUNK / SPEED_WINDOW_SECONDS, 77 * SPEED_WINDOW_SECONDS / 3)


def test_when_nothing_arrives_it_falls_and_is_gone() -> None:
    upload = Upload()
    upload.goes_out(1, 2)
    upload.arrives(1, 2)
    upload.now += 2
    speeds = []
    while (speed := upload.shown()[0]) is not None:
        speeds.append(speed)
        upload.goes_out(3)  # into a connection that hangs
        upload.now += 4
    assert speeds == sorted(speeds, reverse=True)
    assert len(set(speeds)) == len(speeds) > 1
    assert upload.now == 50 + SPEED_WINDOW_SECONDS


def test_what_had_arrived_before_is_not_fast() -> None:
    upload = Upload()
    upload.meter.arrived(range(1, 51))
    upload.now += 5
    assert upload.shown() == (None, None)
    upload.goes_out(51)
    upload.now += 2
    upload.arrives(51)
    assert upload.shown() == (CHUNK / 2, 49 * 2)


def test_all_of_it_is_there_when_storage_has_the_last_chunk() -> None:
    upload = Upload()
    upload.arrives(*range(1, CHUNKS))
    assert not upload.meter.progress().is_there
    upload.arrives(CHUNKS)
    assert upload.meter.progress().is_there


def test_listeners_are_told_of_the_time_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "TELL_SECONDS", 0.0)
    now = 0.0

    async def story() -> list[Progress]:
        nonlocal now
        heard: list[Progress] = []
        told = asyncio.Event()

        def listen(progress: Progress) -> None:
            heard.append(progress)
            told.set()

        meter = Meter(lambda: now, listen)
        async with meter.telling():
            await asyncio.sleep(0)
            assert heard == [], "nothing is known yet"
            meter.begin(
                CHUNK * 2, 0, 0, [Chunk(1, CHUNK, "", False, 0), Chunk(2, CHUNK, "", False, 0)]
            )
            meter.went_out(1, CHUNK)
            meter.acknowledge(1)
            for seconds in (10.0, SPEED_WINDOW_SECONDS):
                now = seconds
                told.clear()
                await told.wait()
        after = len(heard)
        await asyncio.sleep(0.01)
        assert len(heard) == after, "it has ended"
        return heard

    heard = asyncio.run(story())

    assert next(each.speed for each in heard if each.speed is not None) == CHUNK / 10
    assert heard[-1].speed is None
