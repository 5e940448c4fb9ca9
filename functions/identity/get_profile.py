"""GET /api/v1/auth/me: the caller, as the database knows them now."""

from typing import Annotated

from fastapi import Depends

from fieldgate.db.engine import database
from fieldgate.errors import Unauthorized
from fieldgate.http import Caller, Envelope, create_app, current_caller, entry_point, envelope
from identity import store
from identity.views import Profile

app = create_app("get_profile", limit="read")


@app.get("/api/v1/auth/me")
async def get_profile(caller: Annotated[Caller, Depends(current_caller)]) -> Envelope[Profile]:
    user = database().read(lambda connection: store.find_by_id(connection, caller.user_id))
    if user is None or user.status != "active":
        raise Unauthorized("This account is no longer active.")
    return envelope(Profile.of(user))


handler = entry_point(app)
