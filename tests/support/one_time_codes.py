"""What the tests of one-time codes share: asking for a code, typing one, racing, moving time.

challenge = send("+254711000009")
answer = verify(challenge, code_of(challenge))
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any
from uuid import UUID

from sqlalchemy import text

from fieldgate.db.engine import Database
from fieldgate.db.url import parse_url
from fieldgate.errors import FieldgateError
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


def wait_for_an_hour_with_time_left() -> None:
    """Return when the hour has ten seconds left at least: counters begin anew with each."""
    while time.time() % 3600 > 3590:
        time.sleep(0.1)


def race(database_url: str, works: Sequence[Callable[[Database], Any]]) -> Counter[str]:
    """Run each work at the same moment, on a connection of its own, and count what came of them.

    A refusal counts under its code, anything else under what it returned, as text.
    """
    start = threading.Barrier(len(works))

    def run(work: Callable[[Database], Any], database: Database) -> str:
        database.read(lambda connection: connection.execute(text("SELECT 1")))
        start.wait(60)
        try:
            return str(work(database))
        except FieldgateError as refusal:
            return refusal.code

    with ExitStack() as stack:
        databases = [
            stack.enter_context(closing(Database(lambda: parse_url(database_url, "the test"))))
            for _ in works
        ]
        with ThreadPoolExecutor(len(works)) as threads:
            return Counter(threads.map(run, works, databases))


def from_address(
    handler: Callable[[dict[str, Any], Any], dict[str, Any]], source_ip: str
) -> Callable[[dict[str, Any], Any], dict[str, Any]]:
    """Return `handler` as the gateway calls it for a client at that network address."""

    def called(event: dict[str, Any], context: Any) -> dict[str, Any]:
        event["requestContext"]["http"]["sourceIp"] = source_ip
        return handler(event, context)

    return called
