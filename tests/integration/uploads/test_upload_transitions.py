"""What each request about an upload does in each of its states, and nothing else."""

from typing import Any, Literal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func

from tests.support.gateway import Answer, signed_in
from tests.support.media import row_of
from tests.support.sender import CHUNK, OWN, Sender, SentFile, some_bytes, wish

CONTENT = some_bytes(CHUNK + 1)
ACTIONS = ("sign", "fail", "resume", "complete", "abort", "get")

type Action = Literal["sign", "fail", "resume", "complete", "abort", "get"]

# Each with both chunks in storage. What the request answers, and the state it leaves.
GONE, CONFLICT = (410, "GONE"), (409, "CONFLICT")
TABLE: dict[str, dict[Action, tuple[int, str]]] = {
    "created": {
        "sign": (200, "uploading"),
        "fail": (200, "created"),
        "resume": (200, "created"),
        "complete": CONFLICT,
        "abort": (204, "aborted"),
        "get": (200, "created"),
    },
    "uploading": {
        "sign": (200, "uploading"),
        "fail": (200, "uploading"),
        "resume": (200, "uploading"),
        "complete": (202, "assembling"),
        "abort": (204, "aborted"),
        "get": (200, "uploading"),
    },
    "assembling": {
        "sign": CONFLICT,
        "fail": (200, "assembling"),
        "resume": CONFLICT,
        "complete": (202, "assembling"),
        "abort": (204, "aborted"),
        "get": (200, "assembling"),
    },
    "completed": {
        "sign": CONFLICT,
        "fail": CONFLICT,
        "resume": CONFLICT,
        "complete": (200, "completed"),
        "abort": CONFLICT,
        "get": (200, "completed"),
    },
    "failed": {
        "sign": CONFLICT,
        "fail": (200, "failed"),
        "resume": (200, "uploading"),
        "complete": CONFLICT,
        "abort": (204, "aborted"),
        "get": (200, "failed"),
    },
    "refused": {
        "sign": CONFLICT,
        "fail": (200, "failed"),
        "resume": CONFLICT,
        "complete": CONFLICT,
        "abort": (204, "aborted"),
        "get": (200, "failed"),
    },
    "aborted": {
        "sign": CONFLICT,
        "fail": CONFLICT,
        "resume": CONFLICT,
        "complete": CONFLICT,
        "abort": (204, "aborted"),
        "get": (200, "aborted"),
    },
    "expired": {
        "sign": GONE,
        "fail": GONE,
        "resume": GONE,
        "complete": GONE,
        "abort": (204, "expired"),
        "get": (200, "expired"),
    },
}
CASES = [(state, action) for state in TABLE for action in ACTIONS]


@pytest.fixture
def upload(sender: Sender) -> SentFile:
    sent = sender.begin(CONTENT)
    sender.put_all(sent)
    return sent


def bring_to(sender: Sender, upload: SentFile, state: str) -> None:
    """Write `state` into the row, with what goes with it."""
    values: dict[str, Any] = {"state": state}
    if state in {"failed", "refused"}:
        reason = {"failed": "TOO_MANY_FAILURES", "refused": "NOT_A_TEXT"}[state]
        values = {"state": "failed", "failure_reason": reason, "refused": state == "refused"}
        values["consecutive_failures"] = 10 if state == "failed" else 0
    sender.change(upload.id, **values)


def do(sender: Sender, action: str, upload: SentFile) -> Answer:
    match action:
        case "sign":
            return sender.sign_these(upload, [1])
        case "fail":
            return sender.fail(upload.id)
        case _:
            answer: Answer = getattr(sender, action)(upload.id)
            return answer


@pytest.mark.parametrize(("state", "action"), CASES)
def test_a_request_does_what_its_state_allows(
    sender: Sender, upload: SentFile, state: str, action: Action
) -> None:
    bring_to(sender, upload, state)
    before = sender.row(upload.id)
    status, outcome = TABLE[state][action]

    answer = do(sender, action, upload)

    after = sender.row(upload.id)
    assert answer.status == status, answer.body
    if status >= 400:
        assert answer.error["code"] == outcome
        assert after == before
    else:
        assert after["state"] == outcome
        if answer.body and action != "sign":
            assert answer.data["state"] == outcome
    assert (after["failure_reason"] is None) == (after["state"] != "failed")
    assert (after["refused"], after["media_id"]) == (before["refused"], upload.media_id)


@pytest.mark.parametrize(
    ("state", "action"), [case for case in CASES if case[0] in {"created", "uploading", "failed"}]
)
def test_past_its_time_it_has_expired_before_the_sweep_says_so(
    sender: Sender, upload: SentFile, state: str, action: Action
) -> None:
    bring_to(sender, upload, state)
    sender.let_expire(upload.id)
    status, outcome = TABLE["expired"][action]

    answer = do(sender, action, upload)

    assert answer.status == status, answer.body
    if status == 410:
        assert answer.error["code"] == outcome
        assert answer.error["details"] == [{"field": "state", "message": "expired"}]
        assert sender.row(upload.id)["state"] == state
    elif action == "get":
        assert answer.data["state"] == "expired"
    else:
        assert sender.row(upload.id)["state"] == "aborted"


@pytest.mark.parametrize("action", ["fail", "resume", "complete", "get"])
def test_past_its_time_a_refused_one_still_says_so(
    sender: Sender, upload: SentFile, action: Action
) -> None:
    bring_to(sender, upload, "refused")
    sender.let_expire(upload.id)
    answer = do(sender, action, upload)
    assert answer.status == TABLE["refused"][action][0]
    if answer.status == 200:
        assert answer.data["state"] == "failed"


@pytest.mark.parametrize("action", ["fail", "complete", "get"])
def test_what_is_being_put_together_does_not_expire(
    sender: Sender, upload: SentFile, action: str
) -> None:
    bring_to(sender, upload, "assembling")
    sender.let_expire(upload.id)
    answer = do(sender, action, upload)
    assert answer.data["state"] == "assembling"


@pytest.mark.parametrize("action", ACTIONS)
def test_to_another_it_is_not_there(
    sender: Sender, stranger: Sender, upload: SentFile, action: str
) -> None:
    before = sender.row(upload.id), sender.staged()
    answer = do(stranger, action, upload)
    unknown = do(stranger, action, SentFile(CONTENT, uuid4(), uuid4(), CHUNK))
    assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")
    assert answer.error == unknown.error
    assert (sender.row(upload.id), sender.staged()) == before


@pytest.mark.parametrize("action", ACTIONS)
def test_an_id_that_is_none_is_refused(sender: Sender, action: str) -> None:
    for upload_id in ("1", "undefined", "%00", "..%2F..", "0198a5b6-0000-7000-8000-00000000000g"):
        if action == "sign":
            answer = sender.sign(upload_id, [wish(1, b"x")])
        else:
            answer = getattr(sender, action)(upload_id)
        # The gateway decodes a slash, and then it is another address.
        status, code = (404, "NOT_FOUND") if "%2F" in upload_id else (400, "VALIDATION_ERROR")
        assert (answer.status, answer.error["code"]) == (status, code), upload_id


@pytest.mark.parametrize("action", ACTIONS)
def test_it_needs_a_token_and_the_permission(
    sender: Sender, upload: SentFile, owner_id: UUID, action: str
) -> None:
    needed = "media:read" if action == "get" else "media:write"
    before = sender.row(upload.id)
    sender.caller = signed_in(owner_id, permissions=sorted({*OWN, "media:read_all"} - {needed}))
    assert do(sender, action, upload).status == 403
    sender.caller = {"failure": "TOKEN_EXPIRED"}
    assert do(sender, action, upload).error["code"] == "TOKEN_EXPIRED"
    assert sender.row(upload.id) == before


def test_seeing_everybodys_is_not_changing_them(
    sender: Sender, stranger: Sender, upload: SentFile
) -> None:
    everything = [*OWN, "media:read_all"]
    stranger.caller = signed_in(uuid4(), permissions=everything)
    assert stranger.get(upload.id).data["missing"] == []
    assert stranger.abort(upload.id).status == stranger.complete(upload.id).status == 404

    stranger.caller = signed_in(uuid4(), permissions=[*everything, "media:write_all"])
    assert stranger.complete(upload.id).status == 202
    assert stranger.abort(upload.id).status == 204


def test_a_failed_upload_starts_again_with_a_clean_slate(sender: Sender, upload: SentFile) -> None:
    for expected in range(1, 11):
        data = sender.fail(upload.id).data
        assert data["consecutiveFailures"] == expected
    assert data["state"] == "failed"
    assert sender.get(upload.id).data["failureReason"] == "TOO_MANY_FAILURES"

    view = sender.resume(upload.id).data

    assert (view["state"], view["consecutiveFailures"]) == ("uploading", 0)
    assert (view["failureReason"], view["missing"]) == (None, [])
    assert sender.fail(upload.id).data == {"consecutiveFailures": 1, "state": "uploading"}
    assert sender.complete(upload.id).status == 202


def test_aborting_takes_the_media_with_it(sender: Sender, upload: SentFile) -> None:
    bystander = sender.begin(CONTENT)
    sender.put_all(bystander)
    answer = sender.abort(upload.id)
    assert (answer.status, answer.body) == (204, b"")
    assert row_of(sender.database, upload.media_id) is None
    assert row_of(sender.database, bystander.media_id) is not None
    assert len(sender.staged()) == bystander.count
    assert all(str(bystander.id) in key for key in sender.staged())


def test_an_assembly_that_was_tried_before_begins_anew(sender: Sender, upload: SentFile) -> None:
    sender.change(upload.id, assembly_attempts=5, assembling_since=func.now())
    assert sender.complete(upload.id).status == 202
    row = sender.row(upload.id)
    assert (row["assembly_attempts"], row["assembling_since"]) == (0, None)
