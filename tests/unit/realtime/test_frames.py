"""Which dialect a frame is in, and what is no frame of either."""

import pytest

from realtime import plain
from realtime.frames import MAX_BYTES, FrameRefused, check_size, is_signalr
from realtime.plain import Request


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ("x\x1e", True),
        ('{"action":"\x1e"}', True),
        ('{"type":1,"action":"x"}\x1e', True),
        ('{"protocol":"json","action":"x"}\x1e', True),
        ('{"action":1}\x1e', True),
        ('{"action":"x"}\x1e{"action":"x"}\x1e', True),
        ('{"action":"ping"}\x1e', False),
        ('{"type":"x","action":"ping"}\x1e\n', False),
        ('{"protocol":"json","version":1}', True),
        ('{"version":1, "protocol" : "json"', True),
        (' {"type":1,"tar', True),
        ('{"invocationId":"1",\n"type": 3', True),
        ('{"invocationId":"1"', False),
        ('{"type":"subscribe","channel":"lots"}', False),
        ('{"type":"ping"}', False),
        ('[{"type":1}]', False),
        ('{"action":"ping"}', False),
        ('{"type":"x","action":"ping"}', False),
        ('{"type":1,"action":"ping"}', False),
        ("", False),
        ("{}", False),
        ("noise", False),
    ],
)
def test_signalr_is_told_by_its_separator_or_a_member_of_its_own(
    frame: str, expected: bool
) -> None:
    assert is_signalr(frame) is expected


@pytest.mark.parametrize("letter", ["x", "é", "\N{BUG}", "\ud800"])
def test_a_frame_is_measured_in_bytes(letter: str) -> None:
    size = len(letter.encode(errors="surrogatepass"))
    check_size(letter * (MAX_BYTES // size))
    with pytest.raises(FrameRefused) as refusal:
        check_size(letter * (MAX_BYTES // size + 1))
    assert refusal.value.code == "PAYLOAD_TOO_LARGE"


@pytest.mark.parametrize("request_id", [None, "a", 7, -7, 2**53 - 1, "x" * 100])
def test_a_request_is_read_with_its_id(request_id: str | int | None) -> None:
    frame = plain.answer("x", request_id, action="resume", offset=3)
    request = plain.read(frame)
    assert (request.action, request.id) == ("resume", request_id)
    assert request.content["offset"] == 3


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "x",
        "[]",
        "null",
        "{}",
        '{"action":null}',
        '{"action":["ping"]}',
        '{"action":"ping","id":{}}',
        '{"action":"ping","id":true}',
        '{"action":"ping","id":1.5}',
        '{"action":"ping","id":9007199254740992}',
        '{"action":"ping","id":"' + "x" * 101 + '"}',
        '{"action":"ping","x":NaN}',
        '{"action":"ping","x":' + "[" * 10_000 + "]" * 10_000 + "}",
    ],
)
def test_what_is_no_request_is_refused(frame: str) -> None:
    with pytest.raises(FrameRefused):
        plain.read(frame)


def test_answers_name_their_request_only_if_it_has_a_name() -> None:
    assert plain.answer("pong") == '{"type":"pong"}'
    assert plain.answer("pong", 0) == '{"type":"pong","id":0}'
    assert plain.read('{"action":"ping"}') == Request("ping", None, {"action": "ping"})
