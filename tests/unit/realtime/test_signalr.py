"""What is read of SignalR's protocol, what is no part of it, and what is written."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import signalr
from realtime.frames import RECORD_SEPARATOR, FrameRefused
from realtime.signalr import Close, Handshake, Ignored, Invocation, Ping, Record, read

HANDSHAKE = '{"protocol":"json","version":1}\x1e'
PING = '{"type":6}\x1e'


@pytest.mark.parametrize(
    ("frame", "records"),
    [
        (HANDSHAKE, [Handshake("")]),
        (PING, [Ping()]),
        (' { "type" : 6 } \x1e\n' + PING, [Ping(), Ping()]),
        ('{"type":7,"error":"x"}\x1e', [Close()]),
        ('{"type":1,"target":"a","arguments":[1]}\x1e', [Invocation(None, "a", [1])]),
        ('{"type":1,"target":"a","invocationId":null}\x1e', [Invocation(None, "a", [])]),
        ('{"type":4,"invocationId":"7","target":"a"}\x1e', [Invocation("7", "a", [], True)]),
        (HANDSHAKE + PING + '{"type":5}\x1e', [Handshake(""), Ping(), Ignored()]),
        ('{"type":1,"target":"a","arguments":["\\u001e"]}\x1e', [Invocation(None, "a", ["\x1e"])]),
        ("", []),
    ],
)
def test_records_are_read_in_order(frame: str, records: list[Record]) -> None:
    assert read(frame) == records


@pytest.mark.parametrize(
    "handshake",
    [
        {"protocol": "messagepack", "version": 1},
        {"protocol": "JSON", "version": 1},
        {"protocol": "json", "version": 2},
        {"protocol": "json", "version": 0},
        {"protocol": "json", "version": True},
        {"protocol": "json", "version": "1"},
        {"protocol": "json"},
        {"protocol": None, "version": 1},
        {"protocol": ["json"], "version": 1},
    ],
)
def test_another_protocol_is_told_apart(handshake: dict[str, Any]) -> None:
    (record,) = read(json.dumps(handshake) + "\x1e")
    assert isinstance(record, Handshake)
    assert record.refusal.endswith("is spoken here, and no other.")


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (HANDSHAKE[:-1], "must end, with 0x1e, in the frame that it begins in"),
        (PING + "{", "must end, with 0x1e"),
        ("\x1e", "not JSON"),
        ("x\x1e", "not JSON"),
        ("[]\x1e", "no JSON object"),
        ("6\x1e", "no JSON object"),
        ("{}\x1e", "needs a type"),
        ('{"type":"6"}\x1e', "needs a type"),
        ('{"type":null}\x1e', "needs a type"),
        ('{"type":true}\x1e', "needs a type"),
        ('{"type":6.0}\x1e', "needs a type"),
        ('{"type":NaN}\x1e', "not JSON"),
        ('{"type":6,"x":Infinity}\x1e', "not JSON"),
        ('{"type":6,"x":' + "9" * 10_000 + "}\x1e", "not JSON"),
        ('{"type":1,"arguments":[]}\x1e', "needs a target"),
        ('{"type":1,"target":1,"arguments":[]}\x1e', "needs a target"),
        ('{"type":1,"target":"a","arguments":{}}\x1e', "needs a target"),
        ('{"type":1,"target":"a","arguments":null}\x1e', "needs a target"),
        ('{"type":1,"target":"a","invocationId":1}\x1e', "text of 100"),
        ('{"type":1,"target":"a","invocationId":"' + "x" * 101 + '"}\x1e', "text of 100"),
        ('{"type":1,"target":"a","invocationId":"' + "\N{BUG}" * 9 + '"}\x1e', "text of 100"),
        (PING * 33, "32 records"),
        ('{"type":6,"x":' + "[" * 16 + "]" * 16 + "}\x1e", "16 deep"),
    ],
)
def test_what_breaks_the_protocol_is_refused_with_a_sentence(frame: str, sentence: str) -> None:
    with pytest.raises(FrameRefused, match=sentence):
        read(frame)


def test_what_is_nested_ten_thousand_deep_is_refused_at_once() -> None:
    began = time.process_time()
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        for frame in (opening * 10_000 + "1" + closing * 10_000, opening * 10_000):
            with pytest.raises(FrameRefused):
                read(f"{frame}\x1e")
    assert time.process_time() - began < 0.5


@given(
    st.lists(
        st.builds(
            Invocation,
            st.none() | st.text(max_size=8),
            st.text(),
            st.lists(st.none() | st.integers(-(2**53), 2**53) | st.text()),
        ),
        max_size=5,
    )
)
def test_what_is_written_is_read(calls: list[Invocation]) -> None:
    frame = "".join(
        json.dumps(
            {"type": 1, "target": call.target, "arguments": call.arguments}
            | ({} if call.id is None else {"invocationId": call.id})
        )
        + RECORD_SEPARATOR
        for call in calls
    )
    assert read(frame) == calls


def test_what_is_written_is_one_record_and_never_a_result_with_an_error() -> None:
    assert signalr.PING == PING
    assert signalr.completion("1", None) == '{"type":3,"invocationId":"1","result":null}\x1e'
    assert signalr.failed_completion("1", "\x1e") == (
        '{"type":3,"invocationId":"1","error":"\\u001e"}\x1e'
    )
    assert signalr.close(allow_reconnect=True) == '{"type":7,"allowReconnect":true}\x1e'
    assert json.loads(signalr.close("x", allow_reconnect=False)[:-1])["error"] == "x"
    assert signalr.failed_handshake("x") == '{"error":"x"}\x1e'
