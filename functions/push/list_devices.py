"""GET /api/v1/devices: a page of the caller's devices, of which they have twenty at most."""

from typing import Annotated

from fastapi import Depends, Query

from fieldgate.db.engine import database
from fieldgate.http import Caller, Page, PageQuery, create_app, current_caller, entry_point, page
from push import device_store
from push.views import DeviceView

app = create_app("list_devices", limit="read")


@app.get("/api/v1/devices")
async def list_devices(
    query: Annotated[PageQuery, Query()], caller: Annotated[Caller, Depends(current_caller)]
) -> Page[DeviceView]:
    found, total = database().read(
        lambda connection: device_store.find_page(
            connection, caller.user_id, query.page_size, query.offset
        )
    )
    return page([DeviceView.of(device) for device in found], query, total)


handler = entry_point(app)
