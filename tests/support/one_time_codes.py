"""What the tests of one-time codes share: asking for a code, typing one, moving time.

challenge = send("+254711000009")
answer = verify(challenge, code_of(challenge))
"""

import os
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import text

from fieldgate.db.engine import Database
from fieldgate.one_time_codes import code_for
from identity import (
    change_phone,
    register,
    resend_otp,
    reset_password,
    send_otp,
    verify_otp,
)
from tests.conftest import empty_valkey
from tests.support.gateway import Answer, call

PHONE = "+254711000009"
PASSWORD = "maize & beans"


def send(
    phone: Any = PHONE,
    purpose: str = "login",
    *,
    authorizer: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    source_ip: str = "192.0.2.7",
    **more: Any,
) -> Answer:
    return call(
        from_address(send_otp.handler, source_ip),
        "POST",
        "/api/v1/otp/send",
        content={"phone": phone, "purpose": purpose} | more,
        headers=headers,
        authorizer=authorizer,
    )


def sign_up(phone: Any = PHONE, *, headers: Mapping[str, str] | None = None, **more: Any) -> Answer:
    content = {"phone": phone, "name": "Grower Two", "password": PASSWORD} | more
    return call(register.handler, "POST", "/api/v1/auth/register", content=content, headers=headers)


def resend(challenge: Answer | UUID) -> Answer:
    content = {"challengeId": str(id_of(challenge))}
    return call(resend_otp.handler, "POST", "/api/v1/otp/resend", content=content)


def verify(challenge: Answer | UUID, code: Any, **more: Any) -> Answer:
    content = {"challengeId": str(id_of(challenge)), "code": code} | more
    return call(verify_otp.handler, "POST", "/api/v1/otp/verify", content=content)


def set_phone(challenge: Answer | UUID, code: Any, authorizer: Mapping[str, Any]) -> Answer:
    content = {"challengeId": str(id_of(challenge)), "code": code}
    return call(
        change_phone.handler, "PUT", "/api/v1/auth/phone", content=content, authorizer=authorizer
    )


def set_password(challenge: Answer | UUID, code: Any, new_password: str) -> Answer:
    content = {"challengeId": str(id_of(challenge)), "code": code, "newPassword": new_password}
    return call(reset_password.handler, "POST", "/api/v1/auth/password", content=content)


def id_of(challenge: Answer | UUID) -> UUID:
    return challenge if isinstance(challenge, UUID) else UUID(challenge.data["challengeId"])


def code_of(challenge: Answer | UUID, phone: str = PHONE) -> str:
    """Return what the text of a challenge says, or would say."""
    return code_for(id_of(challenge), phone)


def wrong_code_of(challenge: Answer | UUID) -> str:
    return f"{(int(code_of(challenge)) + 1) % 10**6:06}"


def without_meta(answer: Answer) -> Any:
    return {name: value for name, value in answer.json().items() if name != "meta"}


def rows(database: Database, query: str, **values: Any) -> list[dict[str, Any]]:
    found = database.read(
        lambda connection: connection.execute(text(query), values).mappings().all()
    )
    return [dict(row) for row in found]


def change(database: Database, statement: str, **values: Any) -> None:
    database.transact(lambda connection: connection.execute(text(statement), values))


def let_pass(database: Database, interval: str) -> None:
    """Move what is kept about sending and checking back in time, as if so long had passed.

    Token buckets are full again.
    """
    empty_valkey(os.environ["CACHE_URL"])
    for column in ("sent_at", "failed_at"):
        change(
            database,
            f"UPDATE otp_phones SET {column} = ARRAY("
            f" SELECT at - CAST(:interval AS interval) FROM unnest({column}) AS at)",
            interval=interval,
        )
    change(
        database,
        "UPDATE otp_challenges SET created_at = created_at - CAST(:interval AS interval),"
        " expires_at = expires_at - CAST(:interval AS interval)",
        interval=interval,
    )


def turn_no_window(database: Database) -> None:
    """Have what was counted until now count in the next window too, should that begin now."""
    change(
        database,
        "INSERT INTO otp_counters (key, window_start, used)"
        " SELECT key, window_start + CAST('1 ' || split_part(key, ':', 1) AS interval), used"
        " FROM otp_counters WHERE window_start <= now()"
        " ON CONFLICT (key, window_start)"
        " DO UPDATE SET used = greatest(otp_counters.used, excluded.used)",
    )


def from_address(
    handler: Callable[[dict[str, Any], Any], dict[str, Any]], source_ip: str
) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Return `handler` as the gateway calls it for a client at that network address."""

    def called(event: dict[str, Any], context: Any) -> dict[str, Any]:
        event["requestContext"]["http"]["sourceIp"] = source_ip
        return handler(event, context)

    return called


def attempts(database: Database, challenge: Answer) -> int:
    """Return how often a code was typed for a challenge."""
    (row,) = rows(
        database, "SELECT attempts FROM otp_challenges WHERE id = :id", id=id_of(challenge)
    )
    return int(row["attempts"])


def assert_wrong(answer: Answer) -> None:
    assert answer.status == 401
    assert answer.error == {
        "code": "INVALID_CREDENTIALS",
        "message": "The code is wrong.",
        "details": [],
    }


def assert_gone(answer: Answer) -> None:
    assert (answer.status, answer.error["code"]) == (410, "GONE")
