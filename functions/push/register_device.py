"""PUT /api/v1/devices: this phone is the caller's, as long as they are signed in on it."""

from typing import Annotated

from fastapi import Depends

from fieldgate.db.engine import database
from fieldgate.http import Caller, Envelope, create_app, current_caller, entry_point, envelope
from push import devices
from push.devices import NewDevice
from push.views import DeviceId

app = create_app("register_device", limit="write")


@app.put("/api/v1/devices")
async def register_device(
    body: NewDevice, caller: Annotated[Caller, Depends(current_caller)]
) -> Envelope[DeviceId]:
    device_id = devices.register(database(), caller.user_id, caller.session_id, body)
    return envelope(DeviceId(device_id=device_id))


handler = entry_point(app)
