"""The sample events of the smaller domains are real; the larger ones have their own."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from edge import unknown_route
from fieldgate.db.engine import Database
from health import check_dependencies, check_health, generate_204, get_version
from identity import (
    authorize,
    get_profile,
    get_user,
    list_users,
    login,
    logout,
    publish_keys,
    refresh_tokens,
    set_two_factor,
    set_user_roles,
    set_user_status,
)
from identity.passwords import hash_password
from local import template as sam
from operations import migrate
from tests.support.cloudformation import run_cloudformation
from tests.support.gateway import Handler
from tests.support.people import Person, begin_session, begin_session_of, register

EVENTS = Path(__file__).parents[2] / "events"
SAMPLE_CALLER = UUID("01989f3c-7a5e-7b7e-8a34-52b1c0a9d001")
SAMPLE_ADMIN = UUID("01989f3c-7a5e-7b7e-8a34-52b1c0a9d002")

HTTP_SAMPLES: dict[str, tuple[Handler, int]] = {
    "login": (login.handler, 200),
    "get_profile": (get_profile.handler, 200),
    "publish_keys": (publish_keys.handler, 200),
    "logout": (logout.handler, 204),
    "set_two_factor": (set_two_factor.handler, 200),
    "list_users": (list_users.handler, 200),
    "get_user": (get_user.handler, 200),
    "set_user_roles": (set_user_roles.handler, 200),
    "set_user_status": (set_user_status.handler, 200),
    "check_health": (check_health.handler, 200),
    "check_dependencies": (check_dependencies.handler, 200),
    "get_version": (get_version.handler, 200),
    "generate_204": (generate_204.handler, 204),
    "unknown_route": (unknown_route.handler, 404),
}
# In identity/test_code_sample_events.py.
CODE_SAMPLES = {
    *("register", "send_otp", "resend_otp", "verify_otp"),
    *("change_phone", "reset_password", "cleanup_otps"),
}
# In integration/realtime.
REALTIME_SAMPLES = {"authorize_connection", "check_realtime"}
# In operations/test_keep_errors.py.
OPERATIONS_SAMPLES = {"keep_errors"}
OTHER_SAMPLES = (
    {"authorize", "refresh_tokens", "migrate"}
    | CODE_SAMPLES
    | REALTIME_SAMPLES
    | OPERATIONS_SAMPLES
)
# Each has a test of its own that all its functions' samples are run.
LARGER_DOMAINS = {"configuration", "push", "realtime", "sms", "stock", "uploads"}


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


def answer(name: str) -> dict[str, Any]:
    """Return what the sample's function says, its body read; None stands for an empty one."""
    handler, _ = HTTP_SAMPLES[name]
    said = handler(sample(name), None)
    return said | {"body": json.loads(said["body"]) if said.get("body") else None}


@pytest.fixture
def caller(live_database: Database) -> Person:
    """Whom the samples speak of: the caller of one, and who signs in in another."""
    credentials = json.loads(sample("login")["body"])
    password = credentials["password"]
    person = Person(
        password, hash_password(password), phone=credentials["identifier"], id=SAMPLE_CALLER
    )
    register(live_database, person)
    admin = Person("", None, phone="+254711000099", email=None, roles=["admin"], id=SAMPLE_ADMIN)
    register(live_database, admin)
    for name in ("set_two_factor", "set_user_roles"):
        begin_session_of(live_database, sample(name))
    return person


def test_every_function_of_the_other_domains_has_its_sample_run_here() -> None:
    handlers = [
        properties["Handler"].split(".")
        for _, properties in sam.resources(sam.read_template(), sam.FUNCTION)
    ]
    names = {name for domain, name, _ in handlers if domain not in LARGER_DOMAINS}
    assert names == HTTP_SAMPLES.keys() | OTHER_SAMPLES


@pytest.mark.parametrize("name", HTTP_SAMPLES)
def test_an_http_sample_is_answered_as_documented(caller: Person, name: str) -> None:
    said = answer(name)
    assert said["statusCode"] == HTTP_SAMPLES[name][1], said
    assert said["headers"]["x-request-id"] == sample(name)["headers"]["x-request-id"]


def test_the_identity_samples_are_of_one_person(caller: Person) -> None:
    signed_in, profile = answer("login")["body"], answer("get_profile")["body"]
    assert signed_in["data"]["user"]["id"] == str(SAMPLE_CALLER)
    assert profile["data"] == signed_in["data"]["user"]


def test_the_samples_without_envelope_say_what_they_are_asked_for(caller: Person) -> None:
    assert answer("check_health")["body"] == {"status": "Healthy"}
    assert answer("get_version")["body"]["environment"] == "test"
    assert answer("publish_keys")["body"]["keys"]
    assert answer("generate_204")["body"] is None


def test_the_sample_of_an_unknown_route_is_refused_in_the_envelope(caller: Person) -> None:
    assert answer("unknown_route")["body"]["error"]["code"] == "NOT_FOUND"


def test_the_authorizer_sample_lets_its_token_in(live_database: Database, caller: Person) -> None:
    event = sample("authorize")
    phone = begin_session(live_database, caller)
    event["headers"]["authorization"] = f"Bearer {phone.access_token}"

    said = authorize.handler(event, None)

    assert said["isAuthorized"] is True
    assert said["context"]["claims"]["sub"] == str(SAMPLE_CALLER)


def test_the_refresh_sample_gets_its_tokens(live_database: Database, caller: Person) -> None:
    event = sample("refresh_tokens")
    token = begin_session(live_database, caller).refresh_token
    event["body"] = event["body"].replace("<refresh token>", token.text)

    said = refresh_tokens.handler(event, None)

    assert said["statusCode"] == 200
    data = json.loads(said["body"])["data"]
    assert data["refreshToken"] == token.successor().text


def test_the_migration_sample_reports_success(live_database: Database) -> None:
    event = sample("migrate")
    with run_cloudformation() as waiting:
        migrate.handler(event | {"ResponseURL": waiting.url}, None)
    (reported,) = waiting.answers
    assert reported["Status"] == "SUCCESS", reported
    copied = ("PhysicalResourceId", "StackId", "RequestId", "LogicalResourceId")
    assert {name: reported[name] for name in copied} == {name: event[name] for name in copied}
