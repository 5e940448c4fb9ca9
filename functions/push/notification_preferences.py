"""GET and PUT /api/v1/notifications/preferences: what the caller wants to hear, and when not."""

from typing import Annotated

from fastapi import Depends

from fieldgate.db.engine import database
from fieldgate.http import Caller, Envelope, create_app, current_caller, entry_point, envelope
from push import preference_store, preferences
from push.preferences import Preferences
from push.views import PreferencesView

app = create_app("notification_preferences", limit="by_method")


@app.get("/api/v1/notifications/preferences")
async def get_preferences(
    caller: Annotated[Caller, Depends(current_caller)],
) -> Envelope[PreferencesView]:
    stored = database().read(lambda connection: preference_store.find(connection, caller.user_id))
    return envelope(PreferencesView.of(stored))


@app.put(
    "/api/v1/notifications/preferences",
    summary="Replace all of what the caller wants to hear, and when not",
)
async def replace_preferences(
    body: Preferences, caller: Annotated[Caller, Depends(current_caller)]
) -> Envelope[PreferencesView]:
    stored = preferences.replace(database(), caller.user_id, body)
    return envelope(PreferencesView.of(stored))


handler = entry_point(app)
