"""GET /health: whether the service can do its work, that is, reach its database."""

from typing import Literal, TypedDict

from sqlalchemy import select
from starlette.responses import JSONResponse

from fieldgate.db.engine import database
from fieldgate.errors import ConfigurationError, Unavailable
from fieldgate.http import create_app, entry_point
from fieldgate.http.described import shape
from fieldgate.observability import logger

app = create_app("check_health", limit=None, public=True)


class Health(TypedDict):
    status: Literal["Healthy", "Unhealthy"]


@app.get("/health", responses=shape(Health, 200, 503))
async def check_health() -> JSONResponse:
    try:
        database().read(lambda connection: connection.scalar(select(1)))
    except (Unavailable, ConfigurationError):
        logger().exception("database not reachable")
        return JSONResponse({"status": "Unhealthy"}, status_code=503)
    return JSONResponse({"status": "Healthy"})


handler = entry_point(app)
