"""GET /api/v1/stock/losses: a page of reported losses, newest first."""

from typing import Annotated

from fastapi import Query

from fieldgate.db.engine import database
from fieldgate.http import Caller, Page, PageQuery, create_app, entry_point, page, require
from stock import loss_store
from stock.views import LossState, LossView

app = create_app("list_losses", limit="read")


class LossQuery(PageQuery):
    state: LossState | None = None


@app.get("/api/v1/stock/losses")
async def list_losses(
    query: Annotated[LossQuery, Query()], _caller: Annotated[Caller, require("stock:read")]
) -> Page[LossView]:
    found, total = database().read(
        lambda connection: loss_store.find_page(
            connection, query.state, query.page_size, query.offset
        )
    )
    return page([LossView.of(loss) for loss in found], query, total)


handler = entry_point(app)
