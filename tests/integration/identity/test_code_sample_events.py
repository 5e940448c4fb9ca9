"""The sample events about one-time codes are real: each one succeeds."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from fieldgate.db.engine import Database
from identity import (
    change_phone,
    cleanup_otps,
    register,
    resend_otp,
    reset_password,
    send_otp,
    verify_otp,
)
from identity.cleaning import OLD_ROWS
from tests.support import people
from tests.support.gateway import Handler, LambdaContext
from tests.support.one_time_codes import change, code_of
from tests.support.people import Person, begin_session_of

EVENTS = Path(__file__).parents[3] / "events"
PHONE, NEW_PHONE = "+254711000002", "+254722000002"
CALLER = UUID("01989f3c-7a5e-7b7e-8a34-52b1c0a9d001")

# Handler, status, and what challenge there must be before: purpose and phone.
SAMPLES: dict[str, tuple[Handler, int, tuple[str, str] | None]] = {
    "register": (register.handler, 202, None),
    "send_otp": (send_otp.handler, 202, None),
    "resend_otp": (resend_otp.handler, 202, ("login", PHONE)),
    "verify_otp": (verify_otp.handler, 200, ("login", PHONE)),
    "change_phone": (change_phone.handler, 200, ("phone_change", NEW_PHONE)),
    "reset_password": (reset_password.handler, 204, ("password_reset", PHONE)),
}


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_answered_as_documented(live_database: Database, name: str) -> None:
    handler, status, challenge = SAMPLES[name]
    people.register(live_database, Person("", None, phone=PHONE, id=CALLER))
    event = sample(name)
    if "authorizer" in event["requestContext"]:
        begin_session_of(live_database, event)
    if challenge is not None:
        challenge_id = UUID(json.loads(event["body"])["challengeId"])
        event["body"] = event["body"].replace("<code>", code_of(challenge_id))
        open_challenge(live_database, challenge_id, *challenge)

    said = handler(event, None)

    assert said["statusCode"] == status, said
    assert said["headers"]["x-request-id"] == event["headers"]["x-request-id"]


def test_the_sample_of_the_schedule_cleans_up(live_database: Database) -> None:
    assert cleanup_otps.handler(sample("cleanup_otps"), LambdaContext()) == dict.fromkeys(
        OLD_ROWS, 0
    )


def open_challenge(database: Database, challenge_id: UUID, purpose: str, phone: str) -> None:
    change(
        database,
        "WITH known AS (INSERT INTO otp_phones (phone) VALUES (:phone))"
        " INSERT INTO otp_challenges (id, phone, purpose, user_id, expires_at)"
        " VALUES (:id, :phone, :purpose, :user, now() + interval '10 minutes')",
        id=challenge_id,
        phone=phone,
        purpose=purpose,
        user=CALLER,
    )
