"""What is shown and what is logged of a request that fails."""

import pytest

from tests.support.gateway import call
from tests.support.log import Log
from tests.support.orders_app import handler


def test_an_unknown_path_is_404_in_the_envelope() -> None:
    answer = call(handler, "GET", "/absent")

    assert (answer.status, answer.error["code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "HEAD", "OPTIONS"])
def test_an_unknown_method_is_405_and_says_which_there_are(method: str) -> None:
    answer = call(handler, method, "/orders")

    assert (answer.status, answer.error["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["allow"] in {"POST", "GET", "GET, POST"}


def test_a_slash_more_is_another_address() -> None:
    assert call(handler, "GET", "/orders/").status in {400, 404}


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect"])
def test_the_frameworks_own_pages_are_not_served(path: str) -> None:
    assert call(handler, "GET", path).status == 404


@pytest.mark.parametrize("path", ["/broken", "/broken-dependency", "/broken-answer"])
def test_of_a_bug_nothing_is_shown_and_everything_is_logged(
    path: str, log: Log, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = call(handler, "GET", path)

    assert answer.status == 500
    assert answer.error == {
        "code": "INTERNAL_ERROR",
        "message": "Something went wrong on our side. Please try again later.",
        "details": [],
    }
    assert answer.json()["meta"]["requestId"] == answer.headers["x-request-id"]
    (line,) = log.said("unexpected error")
    assert line["level"] == "ERROR"
    assert "+254711000001" not in log.text
    # What takes a deployment back: to Lambda the invocation was a success.
    assert '"UnexpectedError":[1.0]' in capsys.readouterr().out


def test_a_bug_while_tidying_up_shows_nothing_either(
    log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    answer = call(handler, "GET", "/late")

    assert b"hunter2" not in answer.body
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(log.said("answer not finished")) == 1
    assert "+254711000001" not in log.text
    assert "+254711000001" not in [
        line for line in caplog.text.splitlines() if line.startswith("mangum")
    ]


def test_an_expected_error_is_shown_with_its_details_and_headers(log: Log) -> None:
    answer = call(handler, "GET", "/limited")

    assert answer.status == 429
    assert answer.headers["retry-after"] == "7"
    assert answer.error == {
        "code": "RATE_LIMITED",
        "message": "Too many.",
        "details": [{"field": "phone", "message": "wait"}],
    }
    (line,) = log.said("request refused")
    assert (line["level"], line["error_code"]) == ("INFO", "RATE_LIMITED")


def test_an_outage_is_logged_with_what_it_came_from_and_shown_without(log: Log) -> None:
    answer = call(handler, "GET", "/down")

    assert answer.status == 503
    assert answer.error == {
        "code": "UNAVAILABLE",
        "message": "Please try again shortly.",
        "details": [],
    }
    (line,) = log.said("request failed")
    assert (line["level"], line["status_code"]) == ("ERROR", 503)
    assert line["error_code"] == "UNAVAILABLE"
    assert "ConnectionRefusedError" in line["exception"]
    assert "+254711000001" not in log.text


@pytest.mark.parametrize("path", ["/limited", "/absent", "/orders?page=0"])
def test_what_the_client_did_wrong_is_logged_without_a_trace(path: str, log: Log) -> None:
    path, _, query = path.partition("?")
    assert 400 <= call(handler, "GET", path, query=query).status < 500

    (line,) = log.said("request refused")
    assert line["level"] == "INFO"
    assert "exception" not in line
    assert log.said("request failed") == []


def test_an_error_may_have_a_more_exact_code() -> None:
    assert call(handler, "GET", "/own-code").error["code"] == "MORE_EXACT"
