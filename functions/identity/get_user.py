"""GET /api/v1/users/{id}: one user, for admins."""

from typing import Annotated
from uuid import UUID

from fastapi import Path

from fieldgate.db.engine import database
from fieldgate.errors import NotFound
from fieldgate.http import Caller, Envelope, create_app, entry_point, envelope, require
from fieldgate.http.described import refusals
from identity import store
from identity.views import UserView

app = create_app("get_user", limit="read")


@app.get("/api/v1/users/{id}", responses=refusals(NOT_FOUND="no such user"))
async def get_user(
    user_id: Annotated[UUID, Path(alias="id")], _caller: Annotated[Caller, require("users:read")]
) -> Envelope[UserView]:
    user = database().read(lambda connection: store.find_by_id(connection, user_id))
    if user is None:
        raise NotFound("There is no such user.")
    return envelope(UserView.of(user))


handler = entry_point(app)
