"""What SignalR clients ask before they connect."""

from uuid import uuid4

import pytest

from realtime import negotiate
from tests.support.gateway import Answer, call, signed_in

PATH = "/hubs/permissions/negotiate"
WEBSOCKETS = [{"transport": "WebSockets", "transferFormats": ["Text"]}]


def ask(query: str = "", *, as_nobody: bool = False) -> Answer:
    authorizer = {"failure": "UNAUTHORIZED"} if as_nobody else signed_in(uuid4())
    headers = {"content-type": "text/plain;charset=UTF-8", "x-signalr-user-agent": "x"}
    return call(
        negotiate.handler,
        "POST",
        PATH,
        query=query,
        headers=headers,
        body=b"",
        authorizer=authorizer,
    )


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("query", ["negotiateVersion=1", "negotiateVersion=2&x=y"])
def test_with_version_1_there_is_a_token_beside_the_id(query: str) -> None:
    first, second = ask(query).json(), ask(query).json()

    assert first.keys() == {
        "negotiateVersion",
        "connectionId",
        "connectionToken",
        "availableTransports",
    }
    assert first["negotiateVersion"] == 1
    assert first["availableTransports"] == WEBSOCKETS
    said = {first["connectionId"], first["connectionToken"], *map(str, second.values())}
    assert len(said & {second["connectionId"], second["connectionToken"]}) == 2
    assert first["connectionToken"] != second["connectionToken"] != second["connectionId"]


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("query", ["", "negotiateVersion=0", "useStatefulReconnect=true"])
def test_without_a_version_there_is_an_id_alone(query: str) -> None:
    answer = ask(query).json()

    assert answer.pop("connectionId")
    assert answer == {"negotiateVersion": 0, "availableTransports": WEBSOCKETS}


@pytest.mark.usefixtures("environment")
def test_it_takes_a_caller_and_a_version_that_is_one() -> None:
    assert ask(as_nobody=True).status == 401
    assert ask("negotiateVersion=x").status == 400
    assert ask("negotiateVersion=-1").status == 400
