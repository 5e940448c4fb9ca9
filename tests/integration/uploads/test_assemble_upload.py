"""The function behind the queue of complete uploads: its messages, its memory, its time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fieldgate.db.engine import Database
from tests import photos
from tests.support.assembly import MIB, Yard, some_text
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.media import s3_notification
from tests.support.sender import Sender
from tests.support.sqs import DEAD_LETTERS, MAX_RECEIVES, LocalSqs
from uploads import assemble_upload, on_media_uploaded

ROOT = Path(__file__).parents[3]
TIMEOUT_MILLISECONDS = 120_000
MEMORY_MIB = 256
# Runs the function in an environment of its own; its peak is VmHWM (see benchmarks.photo_memory).
RUN = """
import json, sys, time
from pathlib import Path
from tests.support.gateway import LambdaContext
from uploads import assemble_upload, on_media_uploaded

def resident(field):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024

function = {"assemble": assemble_upload, "process": on_media_uploaded}[sys.argv[1]]
started = time.perf_counter()
answer = function.handler(json.load(sys.stdin), LambdaContext(120_000))
seconds = time.perf_counter() - started
print(json.dumps({"answer": answer, "peak": resident("VmHWM"), "seconds": seconds}))
"""


@pytest.fixture(autouse=True)
def _deployed(deployed: Database) -> None:
    """Every test here wakes the function itself."""


def deliver(sqs: LocalSqs, function: Any = assemble_upload) -> dict[str, Any]:
    event = sqs.receive()
    assert event["Records"], "nothing to deliver"
    answer: dict[str, Any] = function.handler(event, LambdaContext(TIMEOUT_MILLISECONDS))
    sqs.settle(event, answer)
    return answer


def run_alone(what: str, event: dict[str, Any]) -> dict[str, Any]:
    """Have a fresh interpreter run the function."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, what],
        cwd=ROOT,
        input=json.dumps(event).encode(),
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/functions:{ROOT}/layers/common"},
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert result["answer"] == {"batchItemFailures": []}
    return result


def test_a_document_goes_from_the_phones_chunks_to_stored(
    sender: Sender, sqs: LocalSqs, yard: Yard
) -> None:
    content = some_text(250_000)
    upload = sender.begin(content, filename="notes.txt", contentType="text/plain")
    sender.put_all(upload)
    assert sender.complete(upload.id).status == 202
    assert deliver(sqs) == {"batchItemFailures": []}
    assert sqs.held() == 0
    assert sender.complete(upload.id).status == 200
    assert sender.get(upload.id).data["state"] == "completed"
    assert list(yard.made().values()) == [content]
    assert sender.staged() == {}


@pytest.mark.parametrize("filler", [0, 5 * MIB])
def test_a_photo_goes_on_to_be_processed_where_storage_tells_nobody(
    sender: Sender, sqs: LocalSqs, yard: Yard, filler: int
) -> None:
    content = photos.small_jpeg() + bytes(filler)
    upload = sender.begin(
        content, chunk_size=5 * MIB, filename="leaf.jpg", contentType="image/jpeg"
    )
    sender.put_all(upload)
    sender.complete(upload.id)
    deliver(sqs)
    assert deliver(sqs, on_media_uploaded) == {"batchItemFailures": []}
    found = yard.media_by_id(upload.media_id)
    assert (found["state"], sorted(found["variants"])) == ("ready", ["ai", "web"])


def test_the_sample_event_completes_its_upload(yard: Yard) -> None:
    event = json.loads((ROOT / "events/assemble_upload.json").read_text())
    upload = yard.send(b"notes")
    event["Records"][0]["body"] = str(upload.id)
    answer = assemble_upload.handler(event, LambdaContext(TIMEOUT_MILLISECONDS))
    assert answer == {"batchItemFailures": []}
    assert yard.row(upload)["state"] == "completed"


def test_poison_is_a_dead_letter_after_its_few_receives(sqs: LocalSqs) -> None:
    sqs.send("no id")
    for _ in range(MAX_RECEIVES):
        deliver(sqs)
    assert sqs.receive()["Records"] == []
    assert [record["body"] for record in sqs.receive(DEAD_LETTERS)["Records"]] == ["no id"]


def test_with_storage_down_the_message_is_kept_and_a_later_delivery_succeeds(
    yard: Yard, sqs: LocalSqs
) -> None:
    upload = yard.send(b"notes")
    sqs.send(str(upload.id))
    yard.s3.faults.set("s3", "down", 60)
    event = sqs.receive()
    context = LambdaContext(TIMEOUT_MILLISECONDS)
    assert len(assemble_upload.handler(event, context)["batchItemFailures"]) == 1
    assert sqs.pauses() == [10]
    yard.s3.faults.set("s3", "down", 0)
    assert assemble_upload.handler(event, context) == {"batchItemFailures": []}
    assert yard.row(upload)["state"] == "completed"


def test_with_the_queue_refusing_a_photo_is_announced_when_the_message_comes_back(
    yard: Yard, sqs: LocalSqs
) -> None:
    upload = yard.send(photos.small_jpeg(), filename="leaf.jpg")
    sqs.send(str(upload.id))
    event = sqs.receive()
    context = LambdaContext(TIMEOUT_MILLISECONDS)
    sqs.refusing = True
    assert len(assemble_upload.handler(event, context)["batchItemFailures"]) == 1
    assert yard.row(upload)["state"] == "completed"
    sqs.refusing = False
    assert assemble_upload.handler(event, context) == {"batchItemFailures": []}
    (record,) = sqs.receive()["Records"]
    assert upload.object_key in record["body"]
    assert yard.staged() == {}


def test_what_is_logged_carries_the_messages_id(yard: Yard, sqs: LocalSqs, log: Log) -> None:
    upload = yard.send(b"notes")
    sqs.send(str(upload.id))
    event = sqs.receive()
    assemble_upload.handler(event, LambdaContext(TIMEOUT_MILLISECONDS))
    (line,) = log.said("upload completed")
    assert line["request_id"] == event["Records"][0]["messageId"]


def test_memory_does_not_grow_with_the_file(yard: Yard, sqs: LocalSqs) -> None:
    peaks = []
    for size in (MIB, 50 * MIB):
        upload = yard.send(some_text(size))
        sqs.send(str(upload.id))
        event = sqs.receive()
        peaks.append(run_alone("assemble", event)["peak"])
        assert yard.row(upload)["state"] == "completed"
        sqs.settle(event, {"batchItemFailures": []})
    small, large = peaks
    assert large < MEMORY_MIB
    assert large - small < 64


def test_a_photo_of_fifty_mebibytes_is_processed_in_half_the_functions_memory(
    yard: Yard, sqs: LocalSqs
) -> None:
    """MemorySize of OnMediaUploaded is 1,024 MiB. Progressive is what costs a JPEG most."""
    content = photos.large_jpeg(8600, 5700, progressive=True).ljust(50 * MIB, b"\0")
    upload = yard.send(content, filename="leaf.jpg")
    yard.assemble(upload)
    sqs.send(s3_notification(upload.object_key))
    assert run_alone("process", sqs.receive())["peak"] < 512
    assert yard.states(upload) == ("completed", None, "ready")
