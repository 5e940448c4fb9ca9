"""POST /hubs/permissions/negotiate: what a SignalR client asks before it connects.

(github.com/dotnet/aspnetcore, src/SignalR/docs/specs/TransportProtocols.md)
"""

import secrets
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from fastapi import Depends, Query
from starlette.responses import JSONResponse

from fieldgate.http import Caller, create_app, current_caller, entry_point
from fieldgate.http.described import shape

# With 1 there is a token beside the id, which a connection is asked for by.
LATEST_VERSION = 1

app = create_app("negotiate", limit="read")


class Transport(TypedDict):
    transport: Literal["WebSockets"]
    transferFormats: list[Literal["Text"]]


class Negotiation(TypedDict):
    negotiateVersion: int
    connectionId: str
    connectionToken: NotRequired[str]  # from version 1 on
    availableTransports: list[Transport]


@app.post("/hubs/permissions/negotiate", responses=shape(Negotiation, 200))
async def negotiate(
    _caller: Annotated[Caller, Depends(current_caller)],
    version: Annotated[int, Query(alias="negotiateVersion", ge=0)] = 0,
) -> JSONResponse:
    # API Gateway gives connections their ids, when they are made. These mean nothing; the client
    # puts one into the address, where nobody looks at it.
    answer: dict[str, Any] = {
        "negotiateVersion": min(version, LATEST_VERSION),
        "connectionId": secrets.token_urlsafe(16),
        "availableTransports": [{"transport": "WebSockets", "transferFormats": ["Text"]}],
    }
    if answer["negotiateVersion"]:
        answer["connectionToken"] = secrets.token_urlsafe(16)
    return JSONResponse(answer)


handler = entry_point(app)
