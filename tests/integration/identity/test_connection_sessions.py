"""Sessions and users as the WebSocket API's authorizer finds them."""

import json
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from identity import administering, authorize_connection, signing_out
from tests.support.people import Person, Phone, begin_session, register

GROWER = Person("", None)
BOSS = Person("", None, phone="+254711000008", email=None, roles=("admin",))


@pytest.fixture
def phone(live_database: Database) -> Phone:
    return begin_session(live_database, register(live_database, GROWER))


def effect(phone: Phone) -> str:
    event = {
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:test",
        "multiValueQueryStringParameters": {"access_token": [phone.access_token]},
        "requestContext": {"connectionId": "A1="},
    }
    answer = json.loads(json.dumps(authorize_connection.handler(event, None)))
    return str(answer["policyDocument"]["Statement"][0]["Effect"])


def test_an_ended_session_gets_no_connection(live_database: Database, phone: Phone) -> None:
    assert effect(phone) == "Allow"

    signing_out.sign_out(live_database, GROWER.id, phone.session_id)

    assert effect(phone) == "Deny"


def test_a_blocked_user_gets_no_connection(live_database: Database, phone: Phone) -> None:
    boss: UUID = register(live_database, BOSS).id
    session_id = begin_session(live_database, BOSS).session_id
    assert effect(phone) == "Allow"

    administering.set_status(live_database, GROWER.id, "blocked", actor=boss, session_id=session_id)

    assert effect(phone) == "Deny"
