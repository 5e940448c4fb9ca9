"""GET /api/v1/users: a page of all users, newest first, for admins."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

from fieldgate.db.engine import database
from fieldgate.http import Caller, Page, PageQuery, create_app, entry_point, page, require
from identity import store
from identity.views import AnyStatus, UserView

app = create_app("list_users", limit="read")


class UserQuery(PageQuery):
    role: Annotated[str, Field(pattern=r"^[a-z_]{1,50}$")] | None = None
    status: AnyStatus | None = None


@app.get("/api/v1/users")
async def list_users(
    query: Annotated[UserQuery, Query()], _caller: Annotated[Caller, require("users:read")]
) -> Page[UserView]:
    found, total = database().read(
        lambda connection: store.find_page(
            connection, query.role, query.status, query.page_size, query.offset
        )
    )
    return page([UserView.of(user) for user in found], query, total)


handler = entry_point(app)
