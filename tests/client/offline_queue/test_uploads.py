"""Files that wait among the requests."""

from datetime import timedelta
from pathlib import Path

import pytest

from fieldgate_client.errors import (
    ApiError,
    ClientError,
    FileChanged,
    NetworkError,
    UploadBusy,
    UploadCancelled,
    UploadFailed,
    UploadPaused,
)
from fieldgate_client.offline_queue import Drained
from tests.client.offline_queue.phone import Phone, Tell


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
