"""GET /health/signalr, /health/realtime: whether changes reach who is connected."""

from typing import Literal, TypedDict

from starlette.responses import JSONResponse

from fieldgate.db.engine import database
from fieldgate.errors import ConfigurationError, Unavailable
from fieldgate.http import create_app, entry_point
from fieldgate.http.described import shape
from fieldgate.observability import logger
from health.relay_store import is_late

app = create_app("check_realtime", limit=None, public=True)

SERVICE = "SignalR"


class RealtimeHealth(TypedDict):
    status: Literal["Healthy", "Unhealthy"]
    service: Literal["SignalR"]


@app.get(
    "/health/signalr",
    operation_id="check_signalr",
    responses=shape(RealtimeHealth, 200, 503),
)
@app.get("/health/realtime", responses=shape(RealtimeHealth, 200, 503))
async def check_realtime() -> JSONResponse:
    try:
        late = database().read(is_late)
    except (Unavailable, ConfigurationError):
        logger().exception("database not reachable")
        late = True
    else:
        if late:
            logger().error("changes are not announced")
    status = "Unhealthy" if late else "Healthy"
    return JSONResponse({"status": status, "service": SERVICE}, status_code=503 if late else 200)


handler = entry_point(app)
