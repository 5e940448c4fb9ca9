"""GET /api/v1/config: every key with what is set; GET .../config/{key}/history: its versions."""

from typing import Annotated

from fastapi import Path, Query

from configuration import store
from configuration.setting import known
from configuration.views import PastView, SettingView
from fieldgate.configuration import REGISTRY
from fieldgate.db.engine import database
from fieldgate.http import (
    Caller,
    Envelope,
    Page,
    PageQuery,
    create_app,
    entry_point,
    envelope,
    page,
    require,
)
from fieldgate.http.described import refusals

app = create_app("list_config", limit="read")


@app.get("/api/v1/config", summary="Every key with what is set")
async def list_config(
    _caller: Annotated[Caller, require("config:write")],
) -> Envelope[list[SettingView]]:
    # What is set, not what some cache still knows of it.
    stored = database().read(store.find_all)
    return envelope(
        [SettingView.of(setting, stored.get(setting.key)) for setting in REGISTRY.values()]
    )


@app.get(
    "/api/v1/config/{key}/history",
    summary="A key's versions, the latest first",
    responses=refusals(NOT_FOUND="no such key"),
)
async def list_history(
    key: Annotated[str, Path()],
    query: Annotated[PageQuery, Query()],
    _caller: Annotated[Caller, require("config:write")],
) -> Page[PastView]:
    name = known(key).key
    found, total = database().read(
        lambda connection: store.find_page(
            connection, name, limit=query.page_size, offset=query.offset
        )
    )
    return page([PastView.of(past) for past in found], query, total)


handler = entry_point(app)
