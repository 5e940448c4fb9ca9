"""What Sentry is told of unexpected errors and what not, and what becomes of it when it is away."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

import boto3
import pytest
from moto import mock_aws
from starlette.requests import Request

from fieldgate import error_reports
from fieldgate.error_reports import MOST_REPORTS, REST_SECONDS, SEND_SECONDS
from fieldgate.errors import NotFound, Unavailable
from fieldgate.http import ApiModel, Envelope, create_app, entry_point, envelope
from fieldgate.observability import logger, observed
from fieldgate.queues import consume
from fieldgate.schedules import one_round
from tests.support.clock import Clock
from tests.support.gateway import LambdaContext, call
from tests.support.log import Log
from tests.support.media import sqs_event
from tests.support.ports import free_port
from tests.support.sentry import Sentry, run_sentry

PHONE, PASSWORD, TOKEN = "+254711000001", "hunter2", "eyJhbGciOi.eyJzdWIi.c2ln"
# On a busy machine; without a bound it would be 30 s, or for ever.
IN_TIME = SEND_SECONDS + 3


class Secret(ApiModel):
    password: str


def fail(error: Exception) -> NoReturn:
    raise error


app = create_app("reports", limit=None, public=True)


@app.post("/broken")
async def broken(_request: Request, secret: Secret) -> Envelope[str]:
    given = secret.password
    try:
        fail(LookupError(f"nobody has {PHONE}, token={TOKEN}"))
    except LookupError as error:
        raise RuntimeError(f"no farmer for password={given}") from error


@app.get("/missing")
async def missing() -> Envelope[str]:
    raise NotFound("There is none.")


@app.get("/away")
async def away() -> Envelope[str]:
    raise Unavailable("Too slow.")


@app.get("/fine")
async def fine() -> Envelope[str]:
    return envelope("fine")


handler = entry_point(app)


@pytest.fixture
def sentry(environment: pytest.MonkeyPatch) -> Iterator[Sentry]:
    error_reports._reporter.cache_clear()
    environment.setenv("AWS_LAMBDA_FUNCTION_NAME", "fieldgate-test-Login")
    environment.setenv("COMMIT_SHA", "0123abc")
    with run_sentry() as server:
        environment.setenv("SENTRY_DSN", server.dsn)
        yield server
    error_reports._reporter.cache_clear()


def break_it() -> Any:
    content = {"password": PASSWORD}
    answer = call(handler, "POST", "/broken", content=content, headers={"x-request-id": "r-1"})
    assert answer.status == 500
    return answer


def test_a_500_is_reported_by_what_broke_and_where(sentry: Sentry) -> None:
    break_it()
    (event,) = sentry.events
    assert sentry.paths == ["/api/42/envelope/"]
    assert "sentry_key=public" in sentry.authentication[0]
    kinds = [one["type"] for one in event["exception"]["values"]]
    assert kinds == ["LookupError", "RuntimeError"]
    assert (event["environment"], event["release"]) == ("test", "0123abc")
    assert event["tags"] == {
        "request_id": "r-1",
        "function": "fieldgate-test-Login",
        "logged_as": "unexpected error",
    }
    frames = event["exception"]["values"][-1]["stacktrace"]["frames"]
    assert (frames[-1]["function"], frames[-1]["lineno"] > 0) == ("broken", True)


def test_it_shows_nobody_and_no_secret(sentry: Sentry) -> None:
    break_it()
    (event,) = sentry.events
    for hidden in (PHONE, PHONE[1:], PASSWORD, TOKEN):
        assert hidden not in str(event)
    assert event["exception"]["values"][0]["value"] == "nobody has ***, token=***"
    assert not {"request", "user", "modules", "extra"} & event.keys()
    assert event["breadcrumbs"] == {"values": []}
    frames = [
        frame for one in event["exception"]["values"] for frame in one["stacktrace"]["frames"]
    ]
    assert frames
    assert not any("vars" in frame for frame in frames)


@pytest.mark.parametrize("path", ["/fine", "/missing", "/away", "/nowhere"])
def test_what_is_expected_is_not_reported(sentry: Sentry, path: str) -> None:
    call(handler, "GET", path)
    assert sentry.paths == []


def test_a_message_that_failed_is_reported_under_its_id(
    sentry: Sentry, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{free_port()}")

    def handle(body: str) -> None:
        raise {"bug": KeyError, "outage": Unavailable}[body]("no such thing")

    @observed
    def consumer(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return consume(event, context, handle)

    event = sqs_event("bug", "outage")
    assert len(consumer(event, LambdaContext())["batchItemFailures"]) == 2
    (reported,) = sentry.events
    assert reported["exception"]["values"][-1]["type"] == "KeyError"
    assert reported["tags"]["request_id"] == event["Records"][0]["messageId"]
    assert reported["tags"]["logged_as"] == "message failed"


def test_a_round_that_ends_badly_is_reported_and_ends_as_badly(sentry: Sentry) -> None:
    @observed
    def round_(event: dict[str, Any], context: Any) -> None:
        with one_round(event, context):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        round_({"id": "of-an-event"}, LambdaContext())
    (event,) = sentry.events
    assert event["tags"]["request_id"] == "of-an-event"


def test_an_error_that_is_logged_and_raised_is_one(sentry: Sentry) -> None:
    @observed
    def round_() -> None:
        try:
            fail(KeyError("first"))
        except KeyError:
            logger().exception("not done")
            raise

    with pytest.raises(KeyError):
        round_()
    assert [event["tags"]["logged_as"] for event in sentry.events] == ["not done"]


def test_of_many_errors_some_are_reported(sentry: Sentry) -> None:
    @observed
    def round_() -> None:
        for number in range(MOST_REPORTS + 5):
            try:
                fail(KeyError(number))
            except KeyError:
                logger().exception("not done")

    round_()
    assert len(sentry.events) == MOST_REPORTS


def test_nothing_of_one_invocation_is_reported_in_the_next(sentry: Sentry) -> None:
    break_it()
    call(handler, "GET", "/fine")
    break_it()
    assert len(sentry.events) == 2


def test_who_does_not_answer_is_waited_for_once_a_minute(
    sentry: Sentry, monkeypatch: pytest.MonkeyPatch, log: Log
) -> None:
    sentry.answers = False
    began = time.monotonic()
    break_it()
    assert SEND_SECONDS <= time.monotonic() - began < IN_TIME
    (line,) = log.said("errors not reported")
    assert "TimeoutError" in line["reason"]

    break_it()
    assert len(sentry.paths) == 1
    clock = Clock.instead_of_time_in(error_reports, monkeypatch)
    clock.now = time.monotonic() + REST_SECONDS
    sentry.answers = True
    break_it()
    assert len(sentry.events) == 1


def test_who_refuses_costs_nothing(sentry: Sentry, environment: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets it meanwhile
        taken.bind(("127.0.0.1", 0))
        environment.setenv("SENTRY_DSN", f"http://public@127.0.0.1:{taken.getsockname()[1]}/42")
        break_it()  # loads what it takes
        began = time.monotonic()
        break_it()
        assert time.monotonic() - began < SEND_SECONDS


@pytest.mark.parametrize("dsn", ["not a dsn", "http://127.0.0.1/nothing", " "])
def test_a_dsn_that_is_none_is_said_in_the_log_and_nothing_else(
    sentry: Sentry, environment: pytest.MonkeyPatch, log: Log, dsn: str
) -> None:
    environment.setenv("SENTRY_DSN", dsn)
    break_it()
    assert log.said("errors not reported")


@pytest.fixture
def secret(sentry: Sentry, environment: pytest.MonkeyPatch) -> Iterator[str]:
    """The ARN of a secret that holds the DSN."""
    environment.delenv("SENTRY_DSN")
    with mock_aws():
        made = boto3.client("secretsmanager").create_secret(Name="dsn", SecretString=sentry.dsn)
        environment.setenv("SENTRY_DSN_SECRET_ARN", made["ARN"])
        yield made["ARN"]


def test_the_dsn_may_be_a_secret(secret: str, sentry: Sentry) -> None:
    assert secret
    break_it()
    assert len(sentry.events) == 1


def test_a_secret_that_can_not_be_read_is_no_error_of_the_request(
    secret: str, sentry: Sentry, environment: pytest.MonkeyPatch, log: Log
) -> None:
    environment.setenv("SENTRY_DSN_SECRET_ARN", f"{secret}-of-another")
    break_it()
    assert len(log.said("errors not reported")) == 1
    break_it()  # is not even tried again
    assert len(log.said("setting can't be read")) == 1
    assert sentry.paths == []


def test_without_a_dsn_nothing_is_tried(
    sentry: Sentry, environment: pytest.MonkeyPatch, log: Log
) -> None:
    environment.delenv("SENTRY_DSN")
    environment.setenv("SENTRY_DSN_SECRET_ARN", "")
    break_it()
    assert not log.said("errors not reported")
    assert sentry.paths == []


@pytest.mark.parametrize("dsn", ["", "http://public@127.0.0.1:9/42"])
def test_the_sdk_is_loaded_where_there_is_something_to_report_and_a_dsn(dsn: str) -> None:
    program = (
        "import sys\n"
        "from fieldgate.observability import logger, observed\n"
        "@observed\n"
        "def handler():\n"
        "    try:\n"
        "        1 / 0\n"
        "    except ZeroDivisionError:\n"
        "        logger().exception('failed')\n"
        "loaded = 'sentry_sdk' in sys.modules\n"
        "handler()\n"
        "print(loaded, 'sentry_sdk' in sys.modules, file=sys.stderr)"
    )
    environment = {"PYTHONPATH": "layers/common"} | ({"SENTRY_DSN": dsn} if dsn else {})
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stderr.splitlines()[-1] == f"False {bool(dsn)}"
