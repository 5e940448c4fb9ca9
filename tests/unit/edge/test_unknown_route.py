"""The $default route: our 404 at every address that nothing else has."""

import pytest

from edge import unknown_route
from fieldgate.http.edge import SECURITY_HEADERS
from tests.support.gateway import call
from tests.support.log import Log


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"]
)
@pytest.mark.parametrize(
    "path", ["/", "/api/v1/absent", "/docs", "/%2e%2e/etc", "//", "/\N{SNOWMAN}"]
)
def test_every_method_and_path_is_404_in_the_envelope(log: Log, method: str, path: str) -> None:
    answer = call(unknown_route.handler, method, path, route="$default")

    assert answer.status == 404
    assert answer.error == {
        "code": "NOT_FOUND",
        "message": "There is nothing at this address.",
        "details": [],
    }
    assert SECURITY_HEADERS.items() <= answer.headers.items()


def test_what_was_sent_along_makes_no_difference(log: Log) -> None:
    headers = {"authorization": "Bearer x", "content-type": "image/jpeg"}

    answer = call(unknown_route.handler, "POST", "/x", body=b"\xff\xd8", headers=headers)
    assert answer.status == 404


def test_the_address_itself_is_not_logged(log: Log) -> None:
    call(unknown_route.handler, "GET", "/reset/hunter2", route="$default")

    assert "hunter2" not in log.text
