"""The sample events of one connection's life, in their order: one person, one connection."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from identity import authorize_connection
from realtime import negotiate, on_connect, on_disconnect, on_message
from tests.support.people import Person, begin_session, register
from tests.support.stream import Stream
from tests.support.websocket import HubFunctions, open_hub, records_of

EVENTS = Path(__file__).parents[3] / "events"
SAMPLE_CALLER = UUID("01989f3c-7a5e-7b7e-8a34-52b1c0a9d001")
GROWER = Person("", None, id=SAMPLE_CALLER)


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


@pytest.fixture
def hub(live_database: Database, environment: pytest.MonkeyPatch) -> Iterator[HubFunctions]:
    register(live_database, GROWER)
    with open_hub(live_database, environment) as hub:
        yield hub


def test_the_negotiation_sample_is_answered_bare(hub: HubFunctions) -> None:
    event = sample("negotiate")
    said = negotiate.handler(event, None)

    assert said["statusCode"] == 200
    assert said["headers"]["x-request-id"] == event["headers"]["x-request-id"]
    assert json.loads(said["body"])["negotiateVersion"] == 1


def test_the_authorizer_sample_lets_its_token_in(hub: HubFunctions) -> None:
    event = sample("authorize_connection")
    token = f"Bearer {begin_session(hub.database, GROWER).access_token}"
    event["headers"]["Authorization"] = token
    event["multiValueHeaders"]["Authorization"] = [token]

    said = authorize_connection.handler(event, None)

    assert said["policyDocument"]["Statement"][0]["Effect"] == "Allow"
    assert said["context"].keys() == {"sub", "sid", "exp"}
    assert said["principalId"] == str(SAMPLE_CALLER)


def test_the_samples_of_a_connection_live_its_life(hub: HubFunctions) -> None:
    connect, message = sample("on_connect"), sample("on_message")
    connection_id = connect["requestContext"]["connectionId"]
    stream = Stream(hub.database)
    session_id = UUID(connect["requestContext"]["authorizer"]["sid"])
    stream.begin_session(SAMPLE_CALLER, id=session_id)
    hub.api.connect(connection_id)

    assert on_connect.handler(connect, None) == {"statusCode": 200}
    said = on_message.handler(message, None)
    assert hub.api.frames[connection_id] == [b"{}\x1e"]
    assert records_of(said["body"])[0]["target"] == "DataChanged"
    assert stream.connections()[connection_id]["dialect"] == "signalr"
    assert on_disconnect.handler(sample("on_disconnect"), None) == {"statusCode": 200}
    assert stream.connections() == {}
