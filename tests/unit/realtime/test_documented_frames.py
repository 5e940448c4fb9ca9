"""The frames that docs/realtime.md shows are those that the code reads and writes."""

import json
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from local.template import ROOT
from realtime import plain, signalr
from realtime.events import StreamEvent
from realtime.frames import RECORD_SEPARATOR, is_signalr
from realtime.views import invocation_of, message_of

EPOCH = UUID("7c0e1a52-4b1d-4f0e-9a6b-2d3c4e5f6a7b")
USER = "01989f3c-7a5e-7b7e-8a34-52b1c0a9d001"
AT = datetime(2026, 1, 10, 10, tzinfo=UTC)
CHANGED = StreamEvent("changed", "shipments", "123", "status_changed", (), AT, 42)
RENEWED = StreamEvent("permissions", "users", USER, "updated", (), AT, 43)


def shown(kind: str) -> list[str]:
    """Return the blocks of that kind, as they would be on the wire."""
    page = (ROOT / "docs/realtime.md").read_text()
    blocks = re.findall(rf"^```json {kind}\n(.*?)\n```$", page, re.MULTILINE | re.DOTALL)
    return [block.replace("⏎", RECORD_SEPARATOR) for block in blocks]


def test_requests_of_plain_json_are_read_each_action_among_them() -> None:
    requests = [plain.read(frame) for frame in shown("plain-request")]
    assert {request.action for request in requests} == set(
        re.findall(r"\w+", plain.ACTIONS.replace(" and ", ", "))
    )
    assert not any(map(is_signalr, shown("plain-request")))


@pytest.mark.parametrize("frame", shown("plain-answer"))
def test_answers_in_plain_json_are_written_so(frame: str) -> None:
    content: dict[str, Any] = json.loads(frame)
    kind, request_id = content.pop("type"), content.pop("id", None)
    if kind == "error":
        assert frame == plain.error(content["code"], content["message"], request_id)
    assert frame == plain.answer(kind, request_id, **content)


def test_events_in_plain_json_are_written_so() -> None:
    expected = [message_of(event, EPOCH, ["media:read"]) for event in (CHANGED, RENEWED)]
    assert [json.loads(frame) for frame in shown("plain-event")] == expected


def test_the_last_word_in_plain_json_is_written_so() -> None:
    closes = [
        *(plain.close(reason, reconnect=True) for reason in signalr.REASONS),
        plain.close("too_many_frames", reconnect=False),
    ]
    assert shown("plain-close") == closes


def test_records_of_signalr_are_read() -> None:
    first, *calls, ping, close = shown("signalr-record")
    assert signalr.read(first) == [signalr.Handshake("")]
    targets = [record.target for call in calls for record in signalr.read(call)]  # type: ignore[union-attr]
    assert targets == ["Subscribe", "Resume", "GetConnectionId"]
    assert signalr.read(ping) == [signalr.Ping()]
    assert signalr.read(close) == [signalr.Close()]


def test_records_of_signalr_are_written_so() -> None:
    assert shown("signalr-answer") == [
        signalr.HANDSHAKE_ANSWER,
        signalr.failed_handshake("The protocol 'json' is spoken here, and no other."),
        signalr.completion("1", {"channels": ["shipments:123"]}),
        signalr.failed_completion("9", "Method does not exist."),
        signalr.PING,
        *(
            signalr.invocation(*invocation_of(event, EPOCH, ["media:read"]))
            for event in (CHANGED, RENEWED)
        ),
        signalr.close(signalr.ENDED, allow_reconnect=True),
    ]
