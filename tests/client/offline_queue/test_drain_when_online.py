"""The queue is sent whenever there is a network."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from fieldgate_client.connectivity import Connectivity, Probes
from fieldgate_client.errors import (
    ClientError,
    NetworkError,
    SignedOut,
    UploadBusy,
)
from fieldgate_client.network import NetworkType
from fieldgate_client.offline_queue import (
    LOCK,
    MAX_PAUSE_SECONDS,
    Drained,
    OfflineQueue,
    Watcher,
)
from fieldgate_client.process_lock import process_lock
from tests.client.fake_api import Fault, lost, says, unreachable
from tests.client.offline_queue.phone import Phone, Recorder, Tell
from tests.client.portal import Answers


class Pauses:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def wait(self, seconds: float) -> None:
        self.seconds.append(seconds)


def cut_of(network: Answers) -> Fault:
    """The network goes while a request is on its way."""

    def cut(request: httpx.Request, work: Callable[[], httpx.Response]) -> httpx.Response:
        network.answers = dict.fromkeys(network.answers, 302)
        return lost(request, work)

    return cut


async def resolves(host: str) -> None:
    return None


def connectivity_of(
    network: Answers, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> Connectivity:
    return Connectivity(
        Probes(("api.test",), tuple(network.answers)),
        network=lambda: NetworkType.WIFI,
        resolver=resolves,
        transport=network,
        sleep=sleep,
    )


def test_it_waits_for_the_network_and_goes_on_after_a_cut(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        network = Answers({"http://api.test/generate_204": 302})
        rechecks: list[float] = []

        async def restored(seconds: float) -> None:
            rechecks.append(seconds)
            network.answers["http://api.test/generate_204"] = 204

        connectivity = connectivity_of(network, restored)
        phone.queue.add_request("POST", "/first")
        phone.queue.add_request("POST", "/second")

        phone.server.faults = [unreachable] * 3 + [cut_of(network)]
        async with connectivity:
            drained = await phone.queue.drain_when_online(connectivity)
        assert drained == Drained(sent=2)
        assert rechecks == [60, 60]
        assert [what for what, _ in phone.server.done] == ["POST /first", "POST /second"]

    with_phone(story)


def test_a_server_in_trouble_is_asked_less_and_less(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        connectivity = connectivity_of(Answers({"http://api.test/generate_204": 204}))
        await connectivity.check()
        phone.queue.add_request("POST", "/first")
        phone.server.faults = [says(503, "UNAVAILABLE")] * (8 * 4)

        queue = OfflineQueue(
            phone.database, phone.api, phone.uploads, sleep=(pauses := Pauses()).wait
        )
        assert await queue.drain_when_online(connectivity) == Drained(sent=1)
        assert pauses.seconds == [2, 4, 8, 16, 32, 60, 60, 60]

    with_phone(story)


def test_it_waits_as_long_as_the_server_asks(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        connectivity = connectivity_of(Answers({"http://api.test/generate_204": 204}))
        await connectivity.check()
        phone.queue.add_request("POST", "/first")
        phone.server.faults = [says(429, "RATE_LIMITED", Retry_After="300")]
        watcher = Recorder()
        assert await phone.queue.drain_when_online(connectivity, watcher) == Drained(sent=1)
        assert phone.pauses == [300]
        assert [str(error) for error in watcher.waited_for] == [
            "429 RATE_LIMITED: The server says 429."
        ]

    with_phone(story)


@pytest.mark.parametrize("year", ["31536000", "9" * 400, "9" * 300])
def test_nobody_waits_for_a_year(with_phone: Tell, year: str) -> None:
    async def story(phone: Phone) -> None:
        connectivity = connectivity_of(Answers({"http://api.test/generate_204": 204}))
        await connectivity.check()
        phone.queue.add_request("POST", "/first")
        phone.server.faults = [says(503, "UNAVAILABLE", Retry_After=year)] * 4
        queue = OfflineQueue(
            phone.database, phone.api, phone.uploads, sleep=(pauses := Pauses()).wait
        )
        assert await queue.drain_when_online(connectivity) == Drained(sent=1)
        assert 0 < max(pauses.seconds) <= MAX_PAUSE_SECONDS

    with_phone(story)


def test_a_server_that_is_away_for_days_is_still_asked(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        connectivity = connectivity_of(Answers({"http://api.test/generate_204": 204}))
        await connectivity.check()
        await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        # So often that 2 to the power of it is more than a float can hold.
        phone.uploads.ends["leaf.pdf"] = [NetworkError("away")] * 1100
        queue = OfflineQueue(
            phone.database, phone.api, phone.uploads, sleep=(pauses := Pauses()).wait
        )
        assert await queue.drain_when_online(connectivity) == Drained(sent=1)
        assert pauses.seconds[-1] == 60

    with_phone(story)


def test_who_cancels_does_not_wait_for_the_pause(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        connectivity = connectivity_of(Answers({"http://api.test/generate_204": 204}))
        await connectivity.check()
        phone.queue.add_request("POST", "/first")
        phone.server.faults = [says(503, "UNAVAILABLE", Retry_After="31536000")]
        queue = OfflineQueue(phone.database, phone.api, phone.uploads)
        waits = asyncio.Event()

        class Waits(Watcher):
            def waiting(self, error: ClientError) -> None:
                waits.set()

        draining = asyncio.create_task(queue.drain_when_online(connectivity, Waits()))
        await waits.wait()
        draining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await draining
        assert phone.waiting == ["POST /first"]

    with_phone(story)


def test_it_waits_for_another_process_to_end_and_sends_what_that_left(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        connectivity = connectivity_of(Answers({"http://api.test/generate_204": 204}))
        await connectivity.check()
        phone.queue.add_request("POST", "/first")
        with ExitStack() as other:
            assert other.enter_context(process_lock(phone.home / LOCK))

            async def other_ends(seconds: float) -> None:
                other.close()

            queue = OfflineQueue(phone.database, phone.api, phone.uploads, sleep=other_ends)
            watcher = Recorder()
            drained = await queue.drain_when_online(connectivity, watcher)
        assert drained == Drained(sent=1)
        assert isinstance(watcher.waited_for[0], UploadBusy)

    with_phone(story)


def test_it_does_not_wait_for_what_does_not_pass(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        connectivity = connectivity_of(Answers({"http://api.test/generate_204": 204}))
        await connectivity.check()
        phone.queue.add_request("POST", "/first")
        phone.server.token = "access-9"
        phone.server.session_ended = True
        drained = await phone.queue.drain_when_online(connectivity)
        assert isinstance(drained.stopped_by, SignedOut)

    with_phone(story)
