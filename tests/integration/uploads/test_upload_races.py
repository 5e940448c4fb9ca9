"""Any two requests about an upload may come at the same moment, on many environments."""

import hashlib
from collections import Counter
from collections.abc import Callable
from uuid import UUID

import pytest

from fieldgate import queues
from fieldgate.db.engine import Database
from fieldgate.http.idempotency import IdempotentRequest
from fieldgate.storage.s3 import S3Storage
from tests.conftest import run_sql
from tests.support.media import row_of
from tests.support.racing import outcomes
from tests.support.sender import CHUNK, Sender, SentFile, some_bytes
from tests.support.sqs import LocalSqs
from uploads import transferring
from uploads.deleting import delete_media
from uploads.file_rules import Folder, check_file
from uploads.transferring import Chunk

CONTENT = some_bytes(CHUNK + 1)
PARALLEL = 100

type Work = Callable[[Database], str]


@pytest.fixture
def upload(sender: Sender) -> SentFile:
    sent = sender.begin(CONTENT)
    sender.put_all(sent)
    return sent


class Requests:
    """What a phone may ask for, each as a piece of work for a race; named by what came of it."""

    def __init__(self, staging: S3Storage, sqs: LocalSqs, upload: SentFile, owner: UUID) -> None:
        self._staging = staging
        self._queue_url = sqs.url
        self._upload = upload
        self._who = {"actor_id": owner, "owner_id": owner}

    def sign(self, database: Database) -> str:
        chunks = [Chunk(1, hashlib.sha256(self._upload.chunk(1)).digest())]
        transferring.sign(database, self._staging, self._upload.id, chunks, **self._who)
        return "signed"

    def fail(self, database: Database) -> str:
        view = transferring.report_failure(
            database, self._staging, self._upload.id, 1, "timed out", **self._who
        )
        return f"{view.consecutive_failures} {view.state}"

    def resume(self, database: Database) -> str:
        return transferring.resume(database, self._staging, self._upload.id, **self._who).state

    def complete(self, database: Database) -> str:
        return transferring.complete(
            database, self._staging, self._queue_url, self._upload.id, **self._who
        ).state

    def abort(self, database: Database) -> str:
        transferring.abort(database, self._staging, self._upload.id, **self._who)
        return "aborted"

    def delete_media(self, database: Database) -> str:
        storage = self._staging
        delete_media(database, storage, storage, storage, self._upload.media_id, **self._who)
        return "deleted"


@pytest.fixture
def requests(
    environment: pytest.MonkeyPatch,
    staging: S3Storage,
    sqs: LocalSqs,
    upload: SentFile,
    owner_id: UUID,
) -> Requests:
    # A hundred at once wait for storage and queue in this very process: for longer than anybody
    # should, and not for a hundred clients to be made as well.
    environment.setattr("fieldgate.storage.s3_client.READ_TIMEOUT_SECONDS", 60)
    assert list(staging.list("nothing/")) == []
    queues.send(sqs.url, "nobody")
    sqs.calls.clear()
    return Requests(staging, sqs, upload, owner_id)


@pytest.fixture
def moves(database_url: str) -> Callable[[], Counter[str]]:
    """Every change of an upload's state from here on, as the database saw it."""
    run_sql(
        database_url,
        "CREATE TABLE moves (move text)",
        "CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO moves VALUES (OLD.state || ' -> ' || NEW.state); RETURN NULL; END $$",
        "CREATE TRIGGER note_move AFTER UPDATE ON uploads FOR EACH ROW"
        " WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION note_move()",
    )
    return lambda: Counter(str(move) for (move,) in run_sql(database_url, "SELECT move FROM moves"))


def test_a_hundred_completes_are_one_transition_and_all_are_accepted(
    requests: Requests, database_url: str, sqs: LocalSqs, moves: Callable[[], Counter[str]]
) -> None:
    assert outcomes(database_url, [requests.complete] * PARALLEL) == {"assembling": PARALLEL}
    assert moves() == {"uploading -> assembling": 1}
    assert len([name for name, _ in sqs.calls if name == "SendMessage"]) == PARALLEL


def test_a_hundred_reports_are_counted_once_each_and_the_tenth_fails_it(
    sender: Sender,
    upload: SentFile,
    requests: Requests,
    database_url: str,
    moves: Callable[[], Counter[str]],
) -> None:
    found = outcomes(database_url, [requests.fail] * PARALLEL)
    # Two chunks had arrived since the last one, of which there was none: the first of a row.
    expected = {f"{number} uploading": 1 for number in range(1, 10)}
    assert found == expected | {"10 failed": PARALLEL - 9}
    assert sender.row(upload.id)["consecutive_failures"] == 10
    assert moves() == {"uploading -> failed": 1}


def test_a_hundred_resumes_are_one_transition_and_all_go_on(
    sender: Sender,
    upload: SentFile,
    requests: Requests,
    database_url: str,
    moves: Callable[[], Counter[str]],
) -> None:
    sender.change(upload.id, state="failed", failure_reason="TOO_MANY_FAILURES")
    moves_before = moves()
    assert outcomes(database_url, [requests.resume] * PARALLEL) == {"uploading": PARALLEL}
    assert moves() - moves_before == {"failed -> uploading": 1}


def test_a_hundred_aborts_are_one_transition_and_all_are_fine(
    sender: Sender,
    upload: SentFile,
    requests: Requests,
    database_url: str,
    moves: Callable[[], Counter[str]],
) -> None:
    works = [requests.abort, requests.delete_media] * (PARALLEL // 2)
    found = outcomes(database_url, works)
    assert found["aborted"] == PARALLEL // 2
    # Of those who delete the media, whoever comes after it has gone hears so.
    assert found["deleted"] + found["NOT_FOUND"] == PARALLEL // 2
    assert moves() == {"uploading -> aborted": 1}
    assert row_of(sender.database, upload.media_id) is None
    assert sender.staged() == {}


@pytest.mark.parametrize("other", ["complete", "sign", "fail"])
@pytest.mark.parametrize("ending", ["abort", "delete_media"])
def test_who_gives_up_has_the_last_word(
    sender: Sender,
    upload: SentFile,
    requests: Requests,
    database_url: str,
    moves: Callable[[], Counter[str]],
    other: str,
    ending: str,
) -> None:
    works: list[Work] = [getattr(requests, other)] * 20 + [getattr(requests, ending)]
    found = outcomes(database_url, works)
    assert found["aborted"] + found["deleted"] == 1
    done = {"complete": {"assembling"}, "sign": {"signed"}}.get(
        other, {f"{number} uploading" for number in range(1, 10)} | {"10 failed"}
    )
    assert found.keys() <= done | {"CONFLICT", "aborted", "deleted"}
    assert sender.row(upload.id)["state"] == "aborted"
    assert [move for move in moves() if not move.endswith("-> aborted")] in (
        [],
        ["uploading -> assembling"],
        ["uploading -> failed"],
    )
    assert row_of(sender.database, upload.media_id) is None


def test_whatever_comes_at_once_every_step_is_one_that_there_is(
    sender: Sender,
    requests: Requests,
    upload: SentFile,
    database_url: str,
    moves: Callable[[], Counter[str]],
) -> None:
    works = [requests.sign, requests.fail, requests.resume, requests.complete] * 24
    found = outcomes(database_url, [*works, requests.abort])
    assert found["aborted"] == 1
    assert found.keys() - {"CONFLICT", "aborted"} <= {
        "signed",
        "uploading",
        "assembling",
        "failed",
        *(f"{number} {state}" for number in range(11) for state in ("uploading", "assembling")),
        "10 failed",
    }
    assert sender.row(upload.id)["state"] == "aborted"
    assert moves().keys() <= {
        "uploading -> assembling",
        "uploading -> failed",
        "failed -> uploading",
        "uploading -> aborted",
        "failed -> aborted",
        "assembling -> aborted",
    }


def test_the_same_key_at_once_is_one_upload(
    sender: Sender, owner_id: UUID, database_url: str
) -> None:
    request = IdempotentRequest(scope="POST /uploads", key="a", digest=b"1")
    file = check_file("notes.txt", "text/plain", 1)

    def begin(database: Database) -> str:
        return str(
            transferring.begin(
                request, database, owner_id, Folder.UPLOADS, file, CHUNK, None
            ).upload_id
        )

    found = outcomes(database_url, [begin] * PARALLEL)
    (upload_id,) = found.keys() - {"CONFLICT"}
    assert sender.row(UUID(upload_id))["state"] == "created"
