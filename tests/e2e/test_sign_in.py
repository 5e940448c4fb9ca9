"""Accounts, codes and sessions, on the whole stack, as phones use them."""

import itertools
import re
import uuid
from typing import Any

import httpx
import pytest

from local.accounts import PASSWORD, PHONES
from tests.e2e.conftest import Stack, wait_for

# Each in a range of its own, as the budget of texts goes by the thousand numbers.
_numbers = (f"+2547{22_001_000 + n * 1_000}" for n in itertools.count())
NEW_PASSWORD = "another-demo-password"


@pytest.fixture
def phone(stack: Stack) -> Any:
    """A phone on which nobody is signed in."""
    with httpx.Client(base_url=stack.url, timeout=30) as client:
        yield client


def data(answer: httpx.Response, status: int = 200) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def texts(phone: httpx.Client, number: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = phone.get("/_local/sms", params={"phone": number}).json()
    return found


def code_sent_to(phone: httpx.Client, number: str, *, texts_before: int = 0) -> str:
    """Wait for the next text to a number and return the code in it."""
    inbox = wait_for(lambda: found if len(found := texts(phone, number)) > texts_before else None)
    code = re.search(r"\b\d{6}\b", inbox[0]["text"])
    assert code, inbox[0]
    return code[0]


def register(phone: httpx.Client, number: str) -> dict[str, Any]:
    """Make an account for a number and return its first tokens."""
    wish = {"phone": number, "name": "Grower", "password": PASSWORD}
    challenge = data(phone.post("/api/v1/auth/register", json=wish), 202)
    typed = {"challengeId": challenge["challengeId"], "code": code_sent_to(phone, number)}
    return data(phone.post("/api/v1/otp/verify", json=typed))


def bearer(tokens: dict[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['accessToken']}"}


def profile(phone: httpx.Client, tokens: dict[str, Any]) -> httpx.Response:
    return phone.get("/api/v1/auth/me", headers=bearer(tokens))


def test_a_registration_becomes_an_account_with_its_code(phone: httpx.Client) -> None:
    number = next(_numbers)
    credentials = {"identifier": number, "password": PASSWORD}
    wish = {"phone": number, "name": "Grower", "password": PASSWORD}
    challenge = data(phone.post("/api/v1/auth/register", json=wish), 202)
    assert set(challenge) == {"challengeId", "expiresAt", "resendAfter"}
    assert phone.post("/api/v1/auth/login", json=credentials).status_code == 401

    code = code_sent_to(phone, number)
    wrong = {"challengeId": challenge["challengeId"], "code": f"{(int(code) + 1) % 10**6:06}"}
    refused = phone.post("/api/v1/otp/verify", json=wrong)
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "INVALID_CREDENTIALS")
    right = {"challengeId": challenge["challengeId"], "code": code}
    tokens = data(phone.post("/api/v1/otp/verify", json=right))
    assert tokens["user"]["phone"] == number
    assert tokens["user"]["roles"] == ["farmer"]
    assert data(profile(phone, tokens))["id"] == tokens["user"]["id"]
    assert phone.post("/api/v1/otp/verify", json=right).status_code == 410

    assert data(phone.post("/api/v1/auth/login", json=credentials))["user"] == tokens["user"]


def test_a_session_is_renewed_and_ended(phone: httpx.Client) -> None:
    first = register(phone, next(_numbers))
    second = data(phone.post("/api/v1/auth/refresh", json={"refreshToken": first["refreshToken"]}))
    again = data(phone.post("/api/v1/auth/refresh", json={"refreshToken": first["refreshToken"]}))
    assert second["refreshToken"] == again["refreshToken"] != first["refreshToken"]
    assert profile(phone, second).status_code == 200

    assert phone.post("/api/v1/auth/logout", headers=bearer(second)).status_code == 204
    for tokens in (first, second):
        refused = profile(phone, tokens)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    answer = phone.post("/api/v1/auth/refresh", json={"refreshToken": second["refreshToken"]})
    assert answer.status_code == 401


def test_a_token_two_behind_ends_the_session(phone: httpx.Client) -> None:
    tokens = [register(phone, next(_numbers))]
    for _ in range(2):
        renewed = phone.post(
            "/api/v1/auth/refresh", json={"refreshToken": tokens[-1]["refreshToken"]}
        )
        tokens.append(data(renewed))
    old = phone.post("/api/v1/auth/refresh", json={"refreshToken": tokens[0]["refreshToken"]})
    assert old.status_code == 401
    newest = phone.post("/api/v1/auth/refresh", json={"refreshToken": tokens[-1]["refreshToken"]})
    assert newest.status_code == 401
    assert profile(phone, tokens[-1]).status_code == 401


def test_the_second_factor_is_asked_for_once_it_is_on(phone: httpx.Client) -> None:
    number = next(_numbers)
    tokens = register(phone, number)
    on = phone.put("/api/v1/auth/two-factor", json={"enabled": True}, headers=bearer(tokens))
    assert data(on)["twoFactorEnabled"] is True
    # The budget of a number: a minute between its texts. Registering took one.
    credentials = {"identifier": number, "password": PASSWORD}
    early = phone.post("/api/v1/auth/login", json=credentials)
    assert early.status_code == 429
    assert 0 < int(early.headers["Retry-After"]) <= 60


def test_a_new_password_ends_every_session(stack: Stack, phone: httpx.Client) -> None:
    with stack.phone("agent") as other:
        number = data(other.get("/api/v1/auth/me"))["phone"]
        wish = {"phone": number, "purpose": "password_reset"}
        challenge = data(phone.post("/api/v1/otp/send", json=wish), 202)
        reset = {
            "challengeId": challenge["challengeId"],
            "code": code_sent_to(phone, number),
            "newPassword": NEW_PASSWORD,
        }
        assert phone.post("/api/v1/auth/password", json=reset).status_code == 204
        assert other.get("/api/v1/auth/me").status_code == 401
    for password, status in ((PASSWORD, 401), (NEW_PASSWORD, 200)):
        credentials = {"identifier": number, "password": password}
        assert phone.post("/api/v1/auth/login", json=credentials).status_code == status


def test_a_phone_is_changed_by_a_code_to_the_new_one(stack: Stack, phone: httpx.Client) -> None:
    new_number = next(_numbers)
    with stack.phone("agent") as agent:
        old_number = data(agent.get("/api/v1/auth/me"))["phone"]
        wish = {"phone": new_number, "purpose": "phone_change"}
        assert phone.post("/api/v1/otp/send", json=wish).status_code == 401
        challenge = data(agent.post("/api/v1/otp/send", json=wish), 202)
        proof = {
            "challengeId": challenge["challengeId"],
            "code": code_sent_to(phone, new_number),
        }
        data(agent.put("/api/v1/auth/phone", json=proof))
        assert data(agent.get("/api/v1/auth/me"))["phone"] == new_number
    # Sooner than the sweep would find it.
    notice = wait_for(lambda: texts(phone, old_number), seconds=15)
    assert "was changed" in notice[0]["text"]


def test_a_role_taken_away_works_at_once_and_nobody_signs_in_again(
    stack: Stack, phone: httpx.Client
) -> None:
    tokens = register(phone, next(_numbers))
    user_id = tokens["user"]["id"]
    address = f"/api/v1/users/{user_id}"
    assert phone.get(address, headers=bearer(tokens)).status_code == 403
    with stack.phone("admin") as admin:
        promoted = admin.put(f"{address}/roles", json={"roles": ["admin"]})
        assert data(promoted)["roles"] == ["admin"]
        assert phone.get(address, headers=bearer(tokens)).status_code == 200
        admin.put(f"{address}/roles", json={"roles": ["sponsor"]})
        assert phone.get(address, headers=bearer(tokens)).status_code == 403
        admin.put(f"{address}/status", json={"status": "blocked"})
    assert profile(phone, tokens).status_code == 401


def test_an_unknown_number_is_answered_like_a_known_one(phone: httpx.Client) -> None:
    unknown = next(_numbers)
    answers = [
        phone.post("/api/v1/otp/send", json={"phone": number, "purpose": "login"})
        for number in (PHONES["warehouse_manager"], unknown)
    ]
    assert [answer.status_code for answer in answers] == [202, 202]
    known, other = (answer.json()["data"] for answer in answers)
    assert set(known) == set(other)
    code_sent_to(phone, PHONES["warehouse_manager"])
    assert texts(phone, unknown) == []
    typed = {"challengeId": other["challengeId"], "code": "000000"}
    assert phone.post("/api/v1/otp/verify", json=typed).status_code == 401


def test_requests_go_on_while_the_cache_is_away(stack: Stack) -> None:
    with stack.phone("agent") as agent:
        for mode in ("down", "hang"):
            stack.break_("cache", mode, 30)
            try:
                assert [agent.get("/api/v1/auth/me").status_code for _ in range(5)] == [200] * 5
            finally:
                stack.break_("cache", mode, 0)
        assert agent.get("/api/v1/auth/me").status_code == 200


def test_a_provider_that_is_down_only_delays_the_text(stack: Stack, phone: httpx.Client) -> None:
    number = next(_numbers)
    wish = {"phone": number, "name": "Grower", "password": PASSWORD}
    stack.break_("sms", "error", 60)
    try:
        challenge = data(phone.post("/api/v1/auth/register", json=wish), 202)
        wait_for(lambda: stack.function("sms.send_sms")["invocations"])
    finally:
        stack.break_("sms", "error", 0)
    typed = {"challengeId": challenge["challengeId"], "code": code_sent_to(phone, number)}
    data(phone.post("/api/v1/otp/verify", json=typed))


def test_a_repeated_registration_with_its_key_is_one(phone: httpx.Client) -> None:
    wish = {"phone": next(_numbers), "name": "Grower", "password": PASSWORD}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    first, second = (
        phone.post("/api/v1/auth/register", json=wish, headers=headers) for _ in range(2)
    )
    assert data(first, 202) == data(second, 202)
    other = phone.post("/api/v1/auth/register", json=wish | {"name": "Other"}, headers=headers)
    assert (other.status_code, other.json()["error"]["code"]) == (409, "IDEMPOTENCY_KEY_REUSED")


def test_limits_are_told_before_they_are_met(phone: httpx.Client) -> None:
    credentials = {"identifier": next(_numbers), "password": "wrong"}
    answers = [phone.post("/api/v1/auth/login", json=credentials) for _ in range(12)]
    statuses = [answer.status_code for answer in answers]
    assert statuses[:10] == [401] * 10
    assert 429 in statuses[10:]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"]["code"] == "RATE_LIMITED"
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["RateLimit-Remaining"] == "0"


def test_the_inbox_knows_a_number_however_it_is_written(phone: httpx.Client) -> None:
    number = next(_numbers)
    wish = {"phone": number, "name": "Grower", "password": PASSWORD}
    data(phone.post("/api/v1/auth/register", json=wish), 202)
    code_sent_to(phone, number)
    assert texts(phone, number) == texts(phone, f"0{number[4:]}") != []
    assert phone.get("/_local/sms", params={"phone": "nobody"}).status_code == 400
