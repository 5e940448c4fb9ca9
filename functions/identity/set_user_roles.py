"""PUT /api/v1/users/{id}/roles: give a user exactly these roles."""

from typing import Annotated
from uuid import UUID

from fastapi import Path
from pydantic import Field

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
from identity.administering import set_roles
from identity.views import UserView

app = create_app("set_user_roles", limit="write")


class Roles(RequestModel):
    roles: Annotated[list[str], Field(max_length=20)]


@app.put(
    "/api/v1/users/{id}/roles",
    responses=refusals(
        NOT_FOUND="no such user",
        LAST_ADMIN="somebody must stay an admin",
    ),
)
async def set_user_roles(
    user_id: Annotated[UUID, Path(alias="id")],
    body: Roles,
    caller: Annotated[Caller, require("users:write")],
) -> Envelope[UserView]:
    user = set_roles(
        database(), user_id, body.roles, actor=caller.user_id, session_id=caller.session_id
    )
    return envelope(UserView.of(user))


handler = entry_point(app)
