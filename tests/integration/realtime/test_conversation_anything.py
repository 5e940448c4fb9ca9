"""Whatever comes in a frame, there is an answer, and it is one."""

import json
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realtime.frames import is_signalr
from tests.support.people import begin_session
from tests.support.websocket import (
    GROWER,
    HANDSHAKE,
    HubFunctions,
    records_of,
)

in_any_test = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150
)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
members = st.fixed_dictionaries(
    {},
    optional={
        "type": st.integers(-1, 10) | json_values,
        "protocol": st.just("json") | json_values,
        "version": st.integers(0, 2) | json_values,
        "invocationId": st.text(max_size=30) | json_values,
        "target": st.sampled_from(["GetConnectionId", "Subscribe", "Resume"]) | json_values,
        "arguments": st.lists(json_values, max_size=3) | json_values,
        "action": st.sampled_from(["subscribe", "resume", "ping", "unsubscribe"]) | json_values,
        "channels": st.lists(st.text(max_size=8)) | json_values,
        "channel": st.text(max_size=8) | json_values,
        "epoch": json_values,
        "offset": st.integers() | json_values,
        "id": json_values,
    },
)
frames = (
    st.binary(max_size=200).map(lambda content: content.decode("latin-1"))
    | st.text(max_size=200)
    | json_values.map(json.dumps)
    | members.map(json.dumps)
    | st.lists(members.map(json.dumps) | st.text(max_size=9), max_size=5).map("\x1e".join)
    | st.lists(members.map(json.dumps), max_size=40).map(
        lambda records: "\x1e".join([*records, ""])
    )
)


@pytest.fixture
def session_id(hub: HubFunctions) -> UUID:
    return begin_session(hub.database, GROWER).session_id


@in_any_test
@given(
    frame=frames,
    is_binary=st.booleans(),
    begins=st.sampled_from(["", HANDSHAKE, '{"action":"getConnectionId"}']),
)
def test_whatever_comes_is_answered_with_200_and_in_a_dialect(
    hub: HubFunctions, session_id: UUID, frame: str, is_binary: bool, begins: str
) -> None:
    """`send` looks at the status and the size."""
    line = hub.connect(GROWER, session_id)
    if begins:
        line.send(begins)
    hub.api.forget()

    answer = line.send(frame, is_binary=is_binary)

    for said in filter(None, [answer, *line.heard]):
        # A request with a separator after it is answered as what it is.
        if "\x1e" in frame and is_signalr(frame) and not is_binary:
            assert records_of(said)
        if not said.endswith("\x1e"):
            assert json.loads(said)["type"]
    line.close()
