"""PUT /api/v1/config/{key}: set it; POST /api/v1/config/{key}/rollback: take that back."""

from typing import Annotated, Any

from fastapi import Depends, Path
from pydantic import Field, StrictBool, StrictInt

from configuration import setting
from configuration.views import SettingView
from fieldgate.db.engine import database
from fieldgate.http import ApiModel, Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.idempotency import IdempotentRequest, idempotent_request

app = create_app("set_config", limit="write")


class NewValue(ApiModel):
    """`value` is of the type that the registry has for the key."""

    value: Any
    active: StrictBool = True


class Rollback(ApiModel):
    version: Annotated[StrictInt, Field(ge=0, le=2**31 - 1)] | None = None


@app.put("/api/v1/config/{key}")
async def set_config(
    key: Annotated[str, Path()],
    body: NewValue,
    caller: Annotated[Caller, require("config:write")],
) -> Envelope[SettingView]:
    return envelope(
        setting.put(database(), key, body.value, active=body.active, actor=caller.user_id)
    )


@app.post("/api/v1/config/{key}/rollback")
async def roll_back_config(
    key: Annotated[str, Path()],
    caller: Annotated[Caller, require("config:write")],
    request: Annotated[IdempotentRequest, Depends(idempotent_request)],
    body: Rollback | None = None,
) -> Envelope[SettingView]:
    version = body.version if body else None
    return envelope(setting.roll_back(request, database(), key, version, actor=caller.user_id))


handler = entry_point(app)
