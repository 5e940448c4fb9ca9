"""GET /api/v1/notifications: a page of what the caller was told, newest first.

How many are unread, for a badge, is the `total` of `?unread=true&pageSize=1`.
"""

from typing import Annotated

from fastapi import Depends, Query

from fieldgate.db.engine import database
from fieldgate.http import Caller, Page, PageQuery, create_app, current_caller, entry_point, page
from push import inbox_store
from push.views import EntryView

app = create_app("list_inbox", limit="read")


class InboxQuery(PageQuery):
    unread: bool = False


@app.get("/api/v1/notifications")
async def list_inbox(
    query: Annotated[InboxQuery, Query()], caller: Annotated[Caller, Depends(current_caller)]
) -> Page[EntryView]:
    found, total = database().read(
        lambda connection: inbox_store.find_page(
            connection, caller.user_id, query.page_size, query.offset, unread=query.unread
        )
    )
    return page([EntryView.of(entry) for entry in found], query, total)


handler = entry_point(app)
