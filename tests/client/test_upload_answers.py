"""What the server says of uploads: its terms, how one is, what it misses."""

from typing import Any

import pytest

from fieldgate_client.answers import Answer
from fieldgate_client.errors import ApiError, NetworkError
from fieldgate_client.upload_answers import Terms, View, is_there, missing_in

SIZE = 2 * 102_400 + 1
POLICY = {
    "partTimeoutSeconds": 60,
    "maxRetries": 3,
    "maxConsecutiveFailures": 10,
    "backoff": {"initialSeconds": 1, "factor": 2, "maxSeconds": 30, "jitter": "full"},
}
TERMS = {
    "uploadId": "u-1",
    "mediaId": "m-1",
    "chunkSize": 102_400,
    "chunkCount": 3,
    "expiresAt": "2026-01-11T10:00:00.000Z",
    "policy": POLICY,
}
VIEW = {"state": "uploading", "received": [1], "missing": [2, 3], "failureReason": None}


def test_terms_to_send_by() -> None:
    assert Terms.of(Answer(TERMS, None), SIZE) == Terms("u-1", "m-1", 102_400, POLICY)


@pytest.mark.parametrize(
    "terms",
    [
        {"chunkSize": 0},
        {"chunkSize": -1},
        {"chunkSize": 1},
        {"chunkSize": 100 * 1024 - 1},
        {"chunkSize": 5 * 1024 * 1024 + 1, "chunkCount": 1},
        {"chunkSize": 10**30},
        {"chunkSize": "102400"},
        {"chunkSize": 102_400.0},
        {"chunkSize": True},
        {"chunkCount": 4},
        {"chunkCount": None},
        {"uploadId": "../auth/me"},
        {"uploadId": 7},
        {"mediaId": None},
        {"policy": {}},
        {"policy": None},
        {"policy": POLICY | {"partTimeoutSeconds": "x"}},
        {"policy": POLICY | {"partTimeoutSeconds": 0}},
        {"policy": POLICY | {"maxRetries": 10**9}},
        {"policy": POLICY | {"maxRetries": 1.5}},
        {"policy": POLICY | {"maxConsecutiveFailures": 0}},
        {"policy": POLICY | {"backoff": 5}},
        {"policy": POLICY | {"backoff": {"initialSeconds": 1, "factor": 2, "maxSeconds": 1e9}}},
    ],
    ids=str,
)
def test_terms_that_nobody_can_send_by(terms: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match="Not the server's answer"):
        Terms.of(Answer(TERMS | terms, None), SIZE)


def test_how_an_upload_is() -> None:
    assert View.of(Answer(VIEW, None), 3) == View("uploading", [1], [2, 3], "")
    # POST .../complete answers no more than that.
    assert View.of(Answer({"state": "assembling"}, None), 3) == View("assembling", [], [], "")
    failed = {"state": "failed", "failureReason": "TOO_MANY_FAILURES"}
    assert View.of(Answer(failed, None), 3) == View("failed", [], [], "TOO_MANY_FAILURES")


@pytest.mark.parametrize(
    "view",
    [
        {"state": "elsewhere"},
        {"state": 7},
        {"missing": [999]},
        {"missing": [0]},
        {"missing": ["1"]},
        {"missing": None},
        {"received": [999], "missing": []},
        {"received": {}},
        {"state": "failed", "failureReason": None},
    ],
    ids=str,
)
def test_an_upload_as_no_upload_is(view: dict[str, Any]) -> None:
    with pytest.raises(NetworkError, match="Not the server's answer"):
        View.of(Answer(VIEW | view, None), 3)


def refusal(*messages: str, field: str = "missing") -> ApiError:
    return ApiError(409, "CONFLICT", "No.", [{"field": field, "message": m} for m in messages])


def test_which_chunks_are_missing() -> None:
    assert missing_in(refusal("3", "1"), 3) == {1, 3}
    assert missing_in(refusal(), 3) == missing_in(refusal("x", field="state"), 3) == set()


@pytest.mark.parametrize("message", ["999", "0", "-1", "one", "²", "9" * 5000, ""])
def test_a_chunk_is_missing_that_there_is_not(message: str) -> None:
    with pytest.raises(NetworkError, match="Not the server's answer"):
        missing_in(refusal("1", message), 3)


@pytest.mark.parametrize(
    ("state", "digest", "there"),
    [
        ("stored", "d", True),
        ("processing", "d", True),
        ("ready", "d", True),
        # Nobody knows whether its bytes have come.
        ("pending", "d", False),
        ("rejected", "d", False),
        ("stored", "another", False),
        ("stored", None, False),
    ],
)
def test_whether_a_media_is_this_file_arrived(state: str, digest: str | None, there: bool) -> None:
    assert is_there(Answer({"state": state, "sha256": digest}, None), "d") is there
