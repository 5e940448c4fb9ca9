"""GET /health/dependencies: how each dependency does, for who runs the system.

The answer is 200 also where something is down: it is the answer that was asked for, and a monitor
that acts on a status asks /health.
"""

from typing import Annotated

from fieldgate.http import ApiModel, Caller, Envelope, create_app, entry_point, envelope, require
from health.dependencies import State, Status, look, status_of

app = create_app("check_dependencies", limit="read")


class DependencyView(ApiModel):
    """Milliseconds are those until it answered, or failed; none where it is off or still asked."""

    name: str
    state: State
    latency_ms: float | None
    detail: str | None


class Report(ApiModel):
    status: Status
    dependencies: list[DependencyView]


@app.get("/health/dependencies")
async def check_dependencies(
    _caller: Annotated[Caller, require("health:read")],
) -> Envelope[Report]:
    found = look()
    views = [
        DependencyView(
            name=one.name, state=one.state, latency_ms=one.latency_ms, detail=one.detail or None
        )
        for one in found
    ]
    return envelope(Report(status=status_of(found), dependencies=views))


handler = entry_point(app)
