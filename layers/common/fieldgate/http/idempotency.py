"""Requests that may be sent twice and are done once: the header `Idempotency-Key`.

    @app.post("/api/v1/things", status_code=201)
    async def make_thing(
        body: NewThing, request: Annotated[IdempotentRequest, Depends(idempotent_request)]
    ) -> Envelope[ThingView]:
        return envelope(request.transact(database(), add_thing, ThingView, actor=...))

The first answer is a row written in the transaction of the effect: neither is there without the
other. It is kept as it is, so it must hold no secret that outlives the answer (no tokens).
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel
from sqlalchemy import Connection, and_, func, literal, select
from sqlalchemy.dialects.postgresql import insert

from fieldgate import request_id
from fieldgate.db.engine import Database
from fieldgate.db.tables.requests import idempotency_keys
from fieldgate.errors import Conflict, ErrorDetail, FieldgateError, ValidationFailed
from fieldgate.http.caller import caller_of

HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
LIFETIME = timedelta(hours=24)

_VISIBLE_ASCII = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True)
class IdempotentRequest:
    """A request that names itself by a key, or by none: then it is done each time it comes.

    `scope` is route and caller: a key is one caller's own. `digest` is of the whole request.
    """

    scope: str
    key: str | None
    digest: bytes
    # Of the answer to come.
    headers: Any = field(default_factory=dict)

    def transact[M: BaseModel](
        self,
        database: Database,
        work: Callable[[Connection], M],
        model: type[M],
        *,
        actor: str | None = None,
    ) -> M:
        """Run `work` in a transaction as `Database.transact` does, once for a key within 24 hours.

        Returns what `work` returned the first time, read back as `model`. When `work` raises,
        nothing is kept: the same request may be tried again. With a key this costs two round trips
        more than without, and a repeated one costs two in all.

        Raises:
            Conflict: the first is still running (Retry-After says when to ask again), or, with
                code IDEMPOTENCY_KEY_REUSED, it was another request that had this key.
            Unavailable: as `Database.transact`; sending it again is safe with a key.

        """
        attempt = (
            work if self.key is None else lambda connection: self._once(connection, work, model)
        )
        try:
            return database.transact(attempt, actor=actor, request_id=request_id.current())
        except _FinishedMeanwhile:
            return database.transact(attempt, actor=actor, request_id=request_id.current())

    def _once[M: BaseModel](
        self, connection: Connection, work: Callable[[Connection], M], model: type[M]
    ) -> M:
        locked, digest, first_answer = self._look(connection)
        if digest is not None:
            if not hmac.compare_digest(digest, self.digest):
                raise Conflict(
                    "This Idempotency-Key was used for another request.",
                    code="IDEMPOTENCY_KEY_REUSED",
                )
            self.headers[REPLAYED_HEADER] = "true"
            return model.model_validate_json(first_answer)
        if not locked:
            raise Conflict(
                "The same request is still being worked on.", headers={"Retry-After": "1"}
            )
        answer = work(connection)
        self._keep(connection, answer)
        return answer

    def _look(self, connection: Connection) -> tuple[bool, bytes | None, str]:
        """Take the key for this transaction, and find what was kept: one statement for both."""
        kept = idempotency_keys
        lock = int.from_bytes(self._key_hash[:8], signed=True)
        one = select(func.pg_try_advisory_xact_lock(lock).label("locked")).subquery("one")
        mine = and_(
            kept.c.scope == self.scope,
            kept.c.key_hash == self._key_hash,
            kept.c.created_at > func.now() - LIFETIME,
        )
        found = connection.execute(
            select(one.c.locked, kept.c.request_hash, kept.c.answer).select_from(
                one.outerjoin(kept, mine)
            )
        ).one()
        return found.locked, found.request_hash, found.answer

    def _keep(self, connection: Connection, answer: BaseModel) -> None:
        """Keep the answer, in place of one that is too old.

        The lock was asked for by a statement that may not have seen what was committed while it
        waited for nothing: whoever had the lock before may have finished between the two.
        """
        values = {
            "request_hash": self.digest,
            "answer": answer.model_dump_json(by_alias=True),
            "created_at": func.now(),
        }
        kept = connection.execute(
            insert(idempotency_keys)
            .values(scope=self.scope, key_hash=self._key_hash, **values)
            .on_conflict_do_update(
                constraint="pk_idempotency_keys",
                set_=values,
                where=idempotency_keys.c.created_at <= func.now() - LIFETIME,
            )
            .returning(literal(1))
        )
        if kept.first() is None:
            raise _FinishedMeanwhile

    @property
    def _key_hash(self) -> bytes:
        return hashlib.sha256(f"{self.scope}\0{self.key}".encode()).digest()


class _FinishedMeanwhile(Exception):
    """The first request was done before this one could see it; its answer is there now."""


async def idempotent_request(request: Request, response: Response) -> IdempotentRequest:
    """Give a route its request, to be done once.

    Raises:
        ValidationFailed: the key is not 1 to 255 visible ASCII characters.

    """
    keys = request.headers.getlist(HEADER)
    if keys and not (len(keys) == 1 and _VISIBLE_ASCII.fullmatch(keys[0])):
        raise ValidationFailed(
            "The request is not valid.",
            details=[ErrorDetail(HEADER, "must be 1 to 255 visible ASCII characters")],
        )
    route = request.scope.get("aws.event", {}).get("routeKey", request.method)
    key = keys[0] if keys else None
    return IdempotentRequest(
        scope=f"{route} {_caller_id(request)}",
        key=key,
        digest=_digest(key or "", route, request.url.path, await request.body()),
        headers=response.headers,
    )


def _caller_id(request: Request) -> str:
    try:
        return str(caller_of(request).user_id)
    except FieldgateError:  # a public route
        return "public"


def _digest(key: str, route: str, path: str, body: bytes) -> bytes:
    """Hash a request so that nobody without its key can guess what was in it."""
    content = b"\0".join([route.encode(), path.encode(), body])
    return hmac.digest(key.encode(), content, "sha256")
