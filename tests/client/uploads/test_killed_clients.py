"""A client that dies at any step, and is started anew from the same disk."""

import os
import signal
import subprocess
import sys
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from fieldgate_client.database import Database
from tests.support.phone import Field, Killed, Life, Phone
from tests.support.sender import CHUNK, some_bytes

ROOT = Path(__file__).parents[3]
# Three chunks, the last of one byte.
CONTENT = some_bytes(2 * CHUNK + 1)


def steps_of_a_whole_life(field: Field, parallel: int) -> int:
    phone, life = field.phone(parallel=parallel), Life()
    phone.upload(phone.write(CONTENT), life=life)
    return life.steps


@pytest.mark.parametrize("parallel", [1, 2])
def test_killed_at_any_step_it_arrives_once_and_sends_only_what_was_in_flight_again(
    field: Field, parallel: int
) -> None:
    steps = steps_of_a_whole_life(field, parallel)
    for step in range(1, steps + 1):
        phone = field.phone(parallel=parallel)
        path = phone.write(CONTENT)
        with pytest.raises(Killed):
            phone.upload(path, life=Life(step))

        finished = phone.upload(path)

        assert phone.arrived(finished) == CONTENT, f"killed at step {step}"
        resent = phone.sent.total() - len(CONTENT)
        assert 0 <= resent <= parallel * CHUNK, f"killed at step {step}"
        assert len(phone.sent) == 3, f"killed at step {step}"
        assert [u["state"] for u in phone.server_uploads()] == ["completed"], f"step {step}"
        shown = finished.progress
        assert shown.sent - shown.resent_bytes == shown.acknowledged == len(CONTENT)
        # What was in flight counts as sent, whether it went out or not.
        assert resent <= shown.resent_bytes <= parallel * CHUNK, f"killed at step {step}"


def test_killed_again_and_again_it_arrives_all_the_same(field: Field) -> None:
    phone = field.phone()
    path = phone.write(CONTENT)
    for life in range(1, 200):
        try:
            # Each life is a little longer than the one before: some of them end within the first
            # steps of taking the upload up again.
            finished = phone.upload(path, life=Life(5 + life))
            break
        except Killed:
            continue

    assert phone.arrived(finished) == CONTENT
    assert [u["state"] for u in phone.server_uploads()] == ["completed"]


SENDING = """
import asyncio, sys
from pathlib import Path
from fieldgate_client.api import Api
from fieldgate_client.database import Database
from fieldgate_client.tokens import TokenStore
from fieldgate_client.uploads import UploadManager

async def main(server, disk, path):
    with Database(Path(disk)) as database:
        async with Api(server, TokenStore(database)) as api:
            uploads = UploadManager(api, database, parallel=lambda: 2, chunk_bytes=102400)
            local_id = await uploads.add(Path(path), "farmers")
            def tell(progress):
                print(progress.acknowledged, flush=True)
            await uploads.run(local_id, tell)

asyncio.run(main(*sys.argv[1:]))
"""


def start(phone: Phone, path: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "clients/python/src")}
    command = [sys.executable, "-c", SENDING, phone.server.url, str(phone.disk), str(path)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_process_killed_by_the_system_leaves_an_upload_that_goes_on(field: Field) -> None:
    phone = field.phone(parallel=2)
    content = some_bytes(30 * CHUNK)
    path = phone.write(content)
    with start(phone, path) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= 5 * CHUNK:
                break
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL

    finished = phone.upload(path)

    assert phone.arrived(finished) == content
    # Of what had arrived nothing was sent again.
    assert phone.sent.total() <= 25 * CHUNK
    assert finished.progress.resent_bytes <= 2 * CHUNK


def test_a_second_process_finds_the_upload_busy_and_then_done(field: Field) -> None:
    phone = field.phone()
    content = some_bytes(20 * CHUNK)
    path = phone.write(content)
    # Neither can be done before the other has begun.
    field.s3.faults.set("s3", "hang", 60)
    processes = [start(phone, path) for _ in range(2)]
    with ThreadPoolExecutor() as waiting:
        ended = [waiting.submit(process.communicate, timeout=60) for process in processes]
        wait(ended, return_when=FIRST_COMPLETED)
        field.s3.faults.set("s3", "hang", 0)

    with Database(phone.disk) as database:
        [upload] = database.rows("SELECT id FROM uploads")
    finished = phone.do(lambda manager: manager.run(upload["id"]))

    assert sorted(process.returncode for process in processes) == [0, 1]
    assert phone.arrived(finished) == content
    assert not phone.sent
