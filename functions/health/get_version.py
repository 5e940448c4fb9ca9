"""GET /health/version: what is deployed here. Asks nothing of anybody."""

from typing import Literal, TypedDict

from starlette.responses import JSONResponse

from fieldgate.http import create_app, entry_point
from fieldgate.http.described import shape
from fieldgate.settings import Settings, load

app = create_app("get_version", limit=None, public=True)


class BuildSettings(Settings):
    app_version: str = "0.0.0"
    environment: str = "unknown"
    build_date: str = "unknown"
    commit_sha: str = "unknown"


class Version(TypedDict):
    status: Literal["Healthy"]
    version: str
    environment: str
    buildDate: str
    commitSha: str


@app.get("/health/version", responses=shape(Version, 200))
async def get_version() -> JSONResponse:
    build = load(BuildSettings)
    return JSONResponse(
        {
            "status": "Healthy",
            "version": build.app_version,
            "environment": build.environment,
            "buildDate": build.build_date,
            "commitSha": build.commit_sha,
        }
    )


handler = entry_point(app)
