"""PUT /api/v1/config/{key}: set it; POST /api/v1/config/{key}/rollback: take that back."""

from typing import Annotated, Any

from fastapi import Depends, Path
from pydantic import Field, StrictBool, StrictInt

from configuration import setting
from configuration.views import SettingView
from fieldgate.db.engine import database
from fieldgate.http import (
    Caller,
    Envelope,
    RequestModel,
    create_app,
    entry_point,
    envelope,
    require,
)
from fieldgate.http.described import refusals
from fieldgate.http.idempotency import IdempotentRequest, idempotent_request

app = create_app("set_config", limit="write")


class NewValue(RequestModel):
    """`value` is of the type that the registry has for the key."""

    value: Any
    active: StrictBool = True


class Rollback(RequestModel):
    version: Annotated[StrictInt, Field(ge=0, le=2**31 - 1)] | None = None


@app.put("/api/v1/config/{key}", summary="Set a key", responses=refusals(NOT_FOUND="no such key"))
async def set_config(
    key: Annotated[str, Path()],
    body: NewValue,
    caller: Annotated[Caller, require("config:write")],
) -> Envelope[SettingView]:
    return envelope(
        setting.put(database(), key, body.value, active=body.active, actor=caller.user_id)
    )


@app.post(
    "/api/v1/config/{key}/rollback",
    summary="Back to another version of a key",
    responses=refusals(
        NOT_FOUND="no such key, or no such version of it",
        CONFLICT="it was never set, or was set just now",
        BUSINESS_RULE="that value is no longer allowed",
    ),
)
async def roll_back_config(
    key: Annotated[str, Path()],
    caller: Annotated[Caller, require("config:write")],
    request: Annotated[IdempotentRequest, Depends(idempotent_request)],
    body: Rollback | None = None,
) -> Envelope[SettingView]:
    version = body.version if body else None
    return envelope(setting.roll_back(request, database(), key, version, actor=caller.user_id))


handler = entry_point(app)
