"""What was done without a network is sent in order, once, when the network is back."""

import asyncio
import hashlib
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from fieldgate_client.api import Api
from fieldgate_client.connectivity import Connectivity, Probes
from fieldgate_client.database import Database
from fieldgate_client.errors import (
    ApiError,
    ClientError,
    FileChanged,
    NetworkError,
    SignedOut,
    UploadBusy,
    UploadCancelled,
    UploadFailed,
    UploadPaused,
)
from fieldgate_client.network import NetworkType
from fieldgate_client.offline_queue import (
    LOCK,
    MAX_PAUSE_SECONDS,
    MAY_BE_DONE,
    Drained,
    OfflineQueue,
    Watcher,
)
from fieldgate_client.outbox import Entry
from fieldgate_client.process_lock import process_lock
from fieldgate_client.progress import Progress
from fieldgate_client.tokens import Tokens, TokenStore
from fieldgate_client.upload_record import UploadRecord
from fieldgate_client.upload_store import UploadStore
from tests.client.fake_api import SERVER, TOKENS, FakeApi, Fault, lost, says, unreachable
from tests.client.portal import Answers

MONDAY = datetime(2026, 1, 12, 8, tzinfo=UTC)
HALF_WAY = Progress(
    size=2, acknowledged=1, sent=1, resent_bytes=0, retries=0, speed=None, remaining=None
)


@dataclass
class Uploads:
    """Keeps uploads where the real ones are kept, and has each end as it is told."""

    store: UploadStore
    user_id: str = TOKENS.user_id
    ends: dict[str, list[BaseException]] = field(default_factory=dict)
    ran: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    offline: bool = False

    async def add(self, path: Path, folder: str, content_type: str | None = None) -> str:
        local_id = hashlib.sha256(str(path).encode()).hexdigest()[:8]
        known = [record.id for record in self.store.unfinished(SERVER, self.user_id)]
        if local_id not in known:
            self.store.add(
                UploadRecord(
                    id=local_id,
                    server=SERVER,
                    user_id=self.user_id,
                    path=str(path),
                    folder=folder,
                    filename=path.name,
                    content_type=content_type or "text/plain",
                    size=2,
                    modified_ns=0,
                    sha256="",
                    chunk_size=1,
                    idempotency_key=f"key of {path.name}",
                )
            )
        return local_id

    async def run(
        self, local_id: str, on_progress: Callable[[Progress], None] | None = None
    ) -> None:
        name = Path(self.store.find(local_id).path).name
        self.ran.append(name)
        if on_progress is not None:
            on_progress(HALF_WAY)
        if self.ends.get(name):
            raise self.ends[name].pop(0)
        self.store.completed(local_id)

    async def cancel(self, local_id: str) -> None:
        self.store.give_up(local_id)
        if self.offline:
            raise NetworkError("no route")
        self.given_up.append(local_id)


class Recorder(Watcher):
    """Remembers what it is told, by title."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.set_aside: list[str] = []
        self.so_far: list[tuple[str, Progress]] = []
        self.waited_for: list[ClientError] = []

    def progress(self, entry: Entry, progress: Progress) -> None:
        self.so_far.append((entry.title, progress))

    def ended(self, entry: Entry, reason: str | None) -> None:
        (self.sent if reason is None else self.set_aside).append(entry.title)

    def waiting(self, error: ClientError) -> None:
        self.waited_for.append(error)


class Phone:
    """A phone with a queue, a clock and a server of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.now = MONDAY
        self.server = FakeApi()
        self.pauses: list[float] = []
        self.database = Database(home / "client.db")
        self.uploads = Uploads(UploadStore(self.database))
        self.tokens = TokenStore(self.database)
        self.tokens.save(SERVER, TOKENS)
        self.api = Api(SERVER, self.tokens, transport=self.server, sleep=self.wait)
        self.queue = OfflineQueue(
            self.database, self.api, self.uploads, now=lambda: self.now, sleep=self.wait
        )

    async def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def fails(self, *faults: Fault) -> None:
        """Have the next requests fail so, each with all its tries (policy.MAX_RETRIES)."""
        self.server.faults = [fault for fault in faults for _ in range(4)]

    @property
    def reasons(self) -> dict[str, str | None]:
        return {entry.title: entry.reason for entry in self.queue.entries() if entry.set_aside}

    @property
    def waiting(self) -> list[str]:
        return [entry.title for entry in self.queue.entries() if not entry.set_aside]


@pytest.fixture
def with_phone(tmp_path: Path) -> Callable[[Callable[[Phone], Awaitable[None]]], None]:
    def run(story: Callable[[Phone], Awaitable[None]]) -> None:
        async def telling() -> None:
            phone = Phone(tmp_path)
            try:
                async with asyncio.timeout(10), phone.api:
                    await story(phone)
            finally:
                phone.database.close()

        asyncio.run(telling())

    return run


type Tell = Callable[[Callable[[Phone], Awaitable[None]]], None]


def test_requests_and_uploads_are_sent_in_the_order_they_were_added(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        watcher = Recorder()
        phone.queue.add_request("post", "/first", {"n": 1})
        await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        phone.queue.add_request("PUT", "/last")

        drained = await phone.queue.drain(watcher)

        assert drained == Drained(sent=3)
        assert watcher.sent == ["POST /first", "leaf.pdf", "PUT /last"]
        assert watcher.so_far == [("leaf.pdf", HALF_WAY)]
        assert phone.server.done == [("POST /first", {"n": 1}), ("PUT /last", None)]
        assert phone.queue.entries() == []

    with_phone(story)


def test_the_key_is_made_when_it_is_added_and_an_upload_has_its_own(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/first")
        phone.queue.add_request("POST", "/first")
        await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        keys = [entry.idempotency_key for entry in phone.queue.entries()]
        await phone.queue.drain()

        assert len(set(keys)) == 3
        assert keys[2] == "key of leaf.pdf"
        assert [key for _, _, key in phone.server.asked] == keys[:2]

    with_phone(story)


def test_an_answer_that_is_lost_again_and_again_is_asked_for_with_the_same_key(
    with_phone: Tell,
) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/lots", {"product": "maize"})
        phone.fails(lost, lost)
        for _ in range(2):
            stopped = await phone.queue.drain()
            assert isinstance(stopped.stopped_by, NetworkError)
        assert await phone.queue.drain() == Drained(sent=1)
        assert phone.server.done == [("POST /lots", {"product": "maize"})]
        assert len({key for _, _, key in phone.server.asked}) == 1

    with_phone(story)


@pytest.mark.parametrize(
    "fault",
    [
        unreachable,
        says(408, "TIMEOUT"),
        says(425, "TOO_EARLY"),
        says(429, "RATE_LIMITED", Retry_After="1"),
        says(500, "INTERNAL_ERROR"),
        says(503, "UNAVAILABLE"),
        says(409, "CONFLICT", Retry_After="1"),
    ],
)
def test_what_may_pass_stops_the_sending_and_keeps_the_order(
    with_phone: Tell, fault: Fault
) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/first")
        phone.queue.add_request("POST", "/second")
        phone.fails(fault)

        drained = await phone.queue.drain()

        assert isinstance(drained.stopped_by, NetworkError | ApiError)
        assert phone.waiting == ["POST /first", "POST /second"]
        assert phone.queue.entries()[0].attempts == 1
        assert phone.queue.entries()[0].reason == str(drained.stopped_by)
        assert await phone.queue.drain() == Drained(sent=2)
        assert [what for what, _ in phone.server.done] == ["POST /first", "POST /second"]

    with_phone(story)


@pytest.mark.parametrize("status", [400, 403, 404, 409, 410, 413, 415, 422])
def test_what_is_refused_for_good_is_set_aside_and_blocks_nothing(
    with_phone: Tell, status: int
) -> None:
    async def story(phone: Phone) -> None:
        watcher = Recorder()
        phone.queue.add_request("POST", "/first")
        phone.queue.add_request("POST", "/second")
        phone.server.faults = [says(status, "REFUSED")]

        assert await phone.queue.drain(watcher) == Drained(sent=1, set_aside=1)
        assert (watcher.set_aside, watcher.sent) == (["POST /first"], ["POST /second"])
        assert phone.reasons == {"POST /first": f"{status} REFUSED: The server says {status}."}
        assert await phone.queue.drain() == Drained()

    with_phone(story)


def test_what_depends_on_a_refused_one_waits_for_it(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        first = phone.queue.add_request("POST", "/first")
        second = phone.queue.add_request("POST", "/second", after=first)
        phone.queue.add_request("POST", "/third", after=second)
        phone.queue.add_request("POST", "/free")
        phone.server.faults = [says(400, "REFUSED")]

        assert await phone.queue.drain() == Drained(sent=1, set_aside=1)
        assert phone.server.done == [("POST /free", None)]
        assert phone.waiting == ["POST /second", "POST /third"]

        assert phone.queue.retry(first)
        assert await phone.queue.drain() == Drained(sent=3)
        done = [what for what, _ in phone.server.done[1:]]
        assert done == ["POST /first", "POST /second", "POST /third"]

    with_phone(story)


def test_what_was_set_aside_is_tried_again_with_the_same_key(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        entry = phone.queue.add_request("POST", "/first")
        phone.server.faults = [says(422, "BUSINESS_RULE")]
        await phone.queue.drain()
        assert phone.queue.retry(entry)
        assert not phone.queue.retry(entry)
        assert await phone.queue.drain() == Drained(sent=1)
        assert len({key for _, _, key in phone.server.asked}) == 1

    with_phone(story)


def test_dropping_one_drops_what_depends_on_it_and_nothing_else(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        first = phone.queue.add_request("POST", "/first")
        second = phone.queue.add_request("POST", "/second", after=first)
        phone.queue.add_request("POST", "/third", after=second)
        phone.queue.add_request("POST", "/free")

        assert await phone.queue.drop(first)
        assert not await phone.queue.drop(first)
        assert phone.waiting == ["POST /free"]

    with_phone(story)


def test_a_dropped_upload_is_given_up_at_the_server_at_the_latest_by_the_next_drain(
    with_phone: Tell,
) -> None:
    async def story(phone: Phone) -> None:
        at_once = await phone.queue.add_upload(Path("a.pdf"), "farmers")
        assert await phone.queue.drop(at_once)
        assert len(phone.uploads.given_up) == 1

        later = await phone.queue.add_upload(Path("b.pdf"), "farmers")
        phone.uploads.offline = True
        with pytest.raises(NetworkError):
            await phone.queue.drop(later)
        phone.uploads.ends["b.pdf"] = [UploadCancelled("given up")]
        assert await phone.queue.drain() == Drained()
        assert phone.queue.entries() == []

    with_phone(story)


def test_a_delete_whose_answer_was_lost_is_done_when_the_thing_is_gone(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("DELETE", "/media/1")
        phone.server.faults = [lost, says(404, "NOT_FOUND")]
        assert await phone.queue.drain() == Drained(sent=1)
        assert phone.queue.entries() == []

    with_phone(story)


def test_what_may_have_been_done_a_day_ago_is_not_done_again_unasked(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        entry = phone.queue.add_request("POST", "/lots")
        phone.queue.add_request("POST", "/others")
        phone.fails(lost)
        await phone.queue.drain()
        phone.now += timedelta(hours=24)

        assert await phone.queue.drain() == Drained(sent=1, set_aside=1)
        assert phone.reasons == {"POST /lots": MAY_BE_DONE}
        assert [what for what, _ in phone.server.done] == ["POST /lots", "POST /others"]
        assert phone.queue.retry(entry)
        assert await phone.queue.drain() == Drained(sent=1)

    with_phone(story)


def test_a_key_is_as_old_as_its_first_try(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/lots")
        phone.fails(lost, lost)
        await phone.queue.drain()
        phone.now += timedelta(hours=23)
        assert isinstance((await phone.queue.drain()).stopped_by, NetworkError)
        phone.now += timedelta(hours=1)
        assert await phone.queue.drain() == Drained(set_aside=1)

    with_phone(story)


def test_a_clock_that_was_set_back_does_not_vouch_for_a_key(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/lots")
        phone.fails(lost)
        await phone.queue.drain()
        phone.now -= timedelta(days=1)
        assert await phone.queue.drain() == Drained(set_aside=1)

    with_phone(story)


@pytest.mark.parametrize(
    ("method", "fault"),
    [("PUT", lost), ("DELETE", lost), ("POST", says(429, "RATE_LIMITED", Retry_After="3600"))],
)
def test_what_does_no_harm_twice_or_was_surely_not_done_is_sent_however_late(
    with_phone: Tell, method: str, fault: Fault
) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request(method, "/lots")
        phone.fails(fault)
        assert (await phone.queue.drain()).stopped_by is not None
        phone.server.faults = []
        phone.now += timedelta(days=3)
        assert await phone.queue.drain() == Drained(sent=1)

    with_phone(story)


def test_a_token_that_has_expired_is_renewed_on_the_way(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/first")
        phone.queue.add_request("POST", "/second")
        phone.server.token = "access-2"
        assert await phone.queue.drain() == Drained(sent=2)
        assert phone.server.refreshes == 1

    with_phone(story)


def test_a_session_that_has_ended_stops_the_sending_until_somebody_signs_in(
    with_phone: Tell,
) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/first")
        phone.server.token = "access-9"
        phone.server.session_ended = True
        assert isinstance((await phone.queue.drain()).stopped_by, SignedOut)

        phone.tokens.save(SERVER, Tokens(TOKENS.user_id, "access-9", "refresh-9", 3600))
        phone.now += timedelta(days=3)
        assert await phone.queue.drain() == Drained(sent=1)

    with_phone(story)


def test_nobody_sends_what_another_user_of_the_phone_has_left(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        theirs = phone.queue.add_request("POST", "/first")
        phone.server.faults = [says(422, "BUSINESS_RULE")]
        await phone.queue.drain()
        phone.queue.add_request("POST", "/second")
        phone.tokens.save(SERVER, Tokens("user-2", "access-1", "refresh-2", 3600))
        assert await phone.queue.drain() == Drained()
        assert phone.queue.entries() == []
        assert not phone.queue.retry(theirs)
        assert not await phone.queue.drop(theirs)

        phone.tokens.save(SERVER, TOKENS)
        assert await phone.queue.drain() == Drained(sent=1)

    with_phone(story)


@pytest.mark.parametrize(
    "error",
    [
        FileChanged("leaf.pdf can't be read: No such file or directory."),
        UploadFailed("TOO_MANY_FAILURES"),
        UploadFailed("TYPE_MISMATCH", may_resume=False),
        ApiError(422, "BUSINESS_RULE", "No."),
    ],
)
def test_a_file_that_is_gone_or_refused_is_set_aside(with_phone: Tell, error: ClientError) -> None:
    async def story(phone: Phone) -> None:
        await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        phone.queue.add_request("POST", "/next")
        phone.uploads.ends["leaf.pdf"] = [error]
        assert await phone.queue.drain() == Drained(sent=1, set_aside=1)
        assert phone.reasons == {"leaf.pdf": str(error)}

    with_phone(story)


@pytest.mark.parametrize(
    "error", [KeyError("backoff"), TypeError("no"), MemoryError(), RecursionError("deep")]
)
def test_what_fails_unexpectedly_is_set_aside_and_the_next_goes_on(
    with_phone: Tell, error: Exception
) -> None:
    async def story(phone: Phone) -> None:
        await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        phone.queue.add_request("POST", "/next")
        phone.uploads.ends["leaf.pdf"] = [error]
        assert await phone.queue.drain() == Drained(sent=1, set_aside=1)
        assert phone.reasons == {
            "leaf.pdf": f"Unexpected: {type(error).__name__}: {error}".removesuffix(": ")
        }

    with_phone(story)


@pytest.mark.parametrize("error", [OSError(28, "No space left"), sqlite3.OperationalError("full")])
def test_this_machines_own_trouble_is_no_entrys(with_phone: Tell, error: Exception) -> None:
    async def story(phone: Phone) -> None:
        await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        phone.uploads.ends["leaf.pdf"] = [error]
        with pytest.raises(type(error)):
            await phone.queue.drain()
        assert phone.waiting == ["leaf.pdf"]

    with_phone(story)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt()])
def test_what_ends_the_program_is_not_held_up_by_the_queue(
    with_phone: Tell, error: BaseException
) -> None:
    async def story(phone: Phone) -> None:
        await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        phone.uploads.ends["leaf.pdf"] = [error]
        with pytest.raises(type(error)):
            await phone.queue.drain()
        assert phone.waiting == ["leaf.pdf"]

    with_phone(story)


def test_a_file_that_is_added_again_keeps_its_place_and_is_tried_again(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        entry = await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        assert await phone.queue.add_upload(Path("leaf.pdf"), "farmers") == entry
        phone.uploads.ends["leaf.pdf"] = [UploadFailed("TOO_MANY_FAILURES")]
        await phone.queue.drain()
        assert await phone.queue.add_upload(Path("leaf.pdf"), "farmers") == entry
        assert phone.waiting == ["leaf.pdf"]
        assert await phone.queue.drain() == Drained(sent=1)

    with_phone(story)


def test_a_cut_during_an_upload_stops_the_sending_and_it_goes_on_later(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        await phone.queue.add_upload(Path("leaf.pdf"), "farmers")
        phone.queue.add_request("POST", "/next")
        phone.uploads.ends["leaf.pdf"] = [NetworkError("cut")]

        drained = await phone.queue.drain()

        assert isinstance(drained.stopped_by, NetworkError)
        assert phone.server.done == []
        phone.now += timedelta(days=3)
        assert await phone.queue.drain() == Drained(sent=2)
        assert phone.uploads.ran == ["leaf.pdf", "leaf.pdf"]

    with_phone(story)


def test_a_paused_upload_stays_and_the_others_go_on(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        await phone.queue.add_upload(Path("a.pdf"), "farmers")
        await phone.queue.add_upload(Path("b.pdf"), "farmers")
        phone.uploads.store.pause(await phone.uploads.add(Path("a.pdf"), "farmers"))
        phone.uploads.ends["b.pdf"] = [UploadPaused("paused while it was sent")]
        phone.queue.add_request("POST", "/next")

        assert await phone.queue.drain() == Drained(sent=1)
        assert phone.uploads.ran == ["b.pdf"]
        assert phone.waiting == ["a.pdf", "b.pdf"]

    with_phone(story)


def test_an_upload_that_another_process_sends_stops_the_sending(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        await phone.queue.add_upload(Path("a.pdf"), "farmers")
        phone.uploads.ends["a.pdf"] = [UploadBusy("elsewhere")]
        assert isinstance((await phone.queue.drain()).stopped_by, UploadBusy)
        assert phone.waiting == ["a.pdf"]

    with_phone(story)


def test_only_one_sends_at_a_time(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        for number in range(5):
            phone.queue.add_request("POST", f"/{number}")
        drains = await asyncio.gather(*(phone.queue.drain() for _ in range(4)))
        assert sorted(drained.sent for drained in drains) == [0, 0, 0, 5]
        assert sum(isinstance(drained.stopped_by, UploadBusy) for drained in drains) == 3
        assert len(phone.server.done) == 5

    with_phone(story)


def test_what_is_added_while_the_queue_is_sent_is_sent_too(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.queue.add_request("POST", "/first")
        late = iter(["/second"])

        class Adds(Watcher):
            def ended(self, entry: Entry, reason: str | None) -> None:
                for path in late:
                    phone.queue.add_request("POST", path)

        assert await phone.queue.drain(Adds()) == Drained(sent=2)

    with_phone(story)


def test_what_json_cannot_hold_is_refused_when_it_is_added(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        with pytest.raises(ValueError, match="JSON"):
            phone.queue.add_request("POST", "/lots", {"quantity": float("nan")})
        assert phone.queue.entries() == []

    with_phone(story)


def test_without_a_session_nothing_can_be_kept(with_phone: Tell) -> None:
    async def story(phone: Phone) -> None:
        phone.tokens.forget(SERVER, TOKENS.refresh_token)
        with pytest.raises(SignedOut):
            phone.queue.add_request("POST", "/lots")

    with_phone(story)


class TestDrainWhenOnline:
    def test_it_waits_for_the_network_and_goes_on_after_a_cut(self, with_phone: Tell) -> None:
        async def story(phone: Phone) -> None:
            network = Answers({"http://api.test/generate_204": 302})
            rechecks: list[float] = []

            async def restored(seconds: float) -> None:
                rechecks.append(seconds)
                network.answers["http://api.test/generate_204"] = 204

            connectivity = _connectivity(network, restored)
            phone.queue.add_request("POST", "/first")
            phone.queue.add_request("POST", "/second")

            phone.server.faults = [unreachable] * 3 + [_cut(network)]
            async with connectivity:
                drained = await phone.queue.drain_when_online(connectivity)
            assert drained == Drained(sent=2)
            assert rechecks == [60, 60]
            assert [what for what, _ in phone.server.done] == ["POST /first", "POST /second"]

        with_phone(story)

    def test_a_server_in_trouble_is_asked_less_and_less(self, with_phone: Tell) -> None:
        async def story(phone: Phone) -> None:
            connectivity = _connectivity(Answers({"http://api.test/generate_204": 204}))
            await connectivity.check()
            phone.queue.add_request("POST", "/first")
            phone.server.faults = [says(503, "UNAVAILABLE")] * (8 * 4)

            queue = OfflineQueue(
                phone.database, phone.api, phone.uploads, sleep=(pauses := Pauses()).wait
            )
            assert await queue.drain_when_online(connectivity) == Drained(sent=1)
            assert pauses.seconds == [2, 4, 8, 16, 32, 60, 60, 60]

        with_phone(story)

    def test_it_waits_as_long_as_the_server_asks(self, with_phone: Tell) -> None:
        async def story(phone: Phone) -> None:
            connectivity = _connectivity(Answers({"http://api.test/generate_204": 204}))
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
    def test_nobody_waits_for_a_year(self, with_phone: Tell, year: str) -> None:
        async def story(phone: Phone) -> None:
            connectivity = _connectivity(Answers({"http://api.test/generate_204": 204}))
            await connectivity.check()
            phone.queue.add_request("POST", "/first")
            phone.server.faults = [says(503, "UNAVAILABLE", Retry_After=year)] * 4
            queue = OfflineQueue(
                phone.database, phone.api, phone.uploads, sleep=(pauses := Pauses()).wait
            )
            assert await queue.drain_when_online(connectivity) == Drained(sent=1)
            assert 0 < max(pauses.seconds) <= MAX_PAUSE_SECONDS

        with_phone(story)

    def test_a_server_that_is_away_for_days_is_still_asked(self, with_phone: Tell) -> None:
        async def story(phone: Phone) -> None:
            connectivity = _connectivity(Answers({"http://api.test/generate_204": 204}))
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

    def test_who_cancels_does_not_wait_for_the_pause(self, with_phone: Tell) -> None:
        async def story(phone: Phone) -> None:
            connectivity = _connectivity(Answers({"http://api.test/generate_204": 204}))
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

    def test_it_waits_for_another_process_to_end_and_sends_what_that_left(
        self, with_phone: Tell
    ) -> None:
        async def story(phone: Phone) -> None:
            connectivity = _connectivity(Answers({"http://api.test/generate_204": 204}))
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

    def test_it_does_not_wait_for_what_does_not_pass(self, with_phone: Tell) -> None:
        async def story(phone: Phone) -> None:
            connectivity = _connectivity(Answers({"http://api.test/generate_204": 204}))
            await connectivity.check()
            phone.queue.add_request("POST", "/first")
            phone.server.token = "access-9"
            phone.server.session_ended = True
            drained = await phone.queue.drain_when_online(connectivity)
            assert isinstance(drained.stopped_by, SignedOut)

        with_phone(story)


class Pauses:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def wait(self, seconds: float) -> None:
        self.seconds.append(seconds)


def _cut(network: Answers) -> Fault:
    """The network goes while a request is on its way."""

    def cut(request: httpx.Request, work: Callable[[], httpx.Response]) -> httpx.Response:
        network.answers = dict.fromkeys(network.answers, 302)
        return lost(request, work)

    return cut


async def _resolves(host: str) -> None:
    return None


def _connectivity(
    network: Answers, sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
) -> Connectivity:
    return Connectivity(
        Probes(("api.test",), tuple(network.answers)),
        network=lambda: NetworkType.WIFI,
        resolver=_resolves,
        transport=network,
        sleep=sleep,
    )
