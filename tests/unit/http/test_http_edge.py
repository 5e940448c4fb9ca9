"""What is true of every answer: its id, its headers, and how much it reads."""

import json
import re
from contextvars import Context
from typing import Any

import pytest
from starlette.responses import Response

from fieldgate import request_id
from fieldgate.http import ApiModel, Envelope, create_app, entry_point, envelope
from fieldgate.http.edge import SECURITY_HEADERS
from tests.support.gateway import Answer, call
from tests.support.log import Log

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
LIMIT = 64 * 1024


class Note(ApiModel):
    text: str


app = create_app("notes", limit=None, public=True)


@app.post("/notes")
async def take(note: Note) -> Envelope[str]:
    return envelope(note.text)


@app.get("/current")
async def current() -> Envelope[str]:
    return envelope(request_id.current())


@app.get("/empty", status_code=204)
async def empty() -> Response:
    return Response(status_code=204)


@app.get("/cached")
async def cached() -> Response:
    return Response(headers={"cache-control": "public, max-age=300"})


@app.get("/broken")
async def broken() -> Response:
    raise RuntimeError("the password of +254711000001 is hunter2")


handler = entry_point(app)


@pytest.fixture(autouse=True)
def quiet(log: Log) -> None:
    """Keep the log to the test."""


@pytest.mark.parametrize("sent", ["a", "01J-abc.DEF_2:3", "x" * 128])
def test_a_sane_request_id_is_taken_everywhere(sent: str, log: Log) -> None:
    answer = call(handler, "GET", "/current", headers={"X-Request-Id": sent})

    assert answer.headers["x-request-id"] == sent
    assert answer.data == sent
    assert answer.json()["meta"]["requestId"] == sent
    assert {line["request_id"] for line in log.lines} == {sent}


@pytest.mark.parametrize(
    "sent",
    [
        "",
        " ",
        "two words",
        "x" * 129,
        "a\r\nSet-Cookie: b=c",
        "a\n",
        "\N{CYRILLIC SMALL LETTER A}bc",
        "\N{FULLWIDTH DIGIT ONE}23",
        "<script>",
        '{"level":"ERROR"}',
        "a\0b",
    ],
)
def test_any_other_request_id_is_replaced(sent: str, log: Log) -> None:
    answer = call(handler, "GET", "/current", headers={"x-request-id": sent})

    made = answer.headers["x-request-id"]
    assert UUID.fullmatch(made)
    assert answer.data == made
    assert {line["request_id"] for line in log.lines} == {made}


def test_without_a_request_id_each_request_gets_its_own() -> None:
    first, second = (call(handler, "GET", "/current").data for _ in range(2))

    assert UUID.fullmatch(first)
    assert first != second


def test_outside_a_request_there_is_no_request_id() -> None:
    def after_a_request() -> str:
        call(handler, "GET", "/current")
        return request_id.current()

    assert Context().run(after_a_request) == ""


ANSWERS: dict[str, tuple[int, dict[str, Any]]] = {
    "200": (200, {"method": "POST", "path": "/notes", "content": {"text": "x"}}),
    "204": (204, {"method": "GET", "path": "/empty"}),
    "400": (400, {"method": "POST", "path": "/notes", "content": {}}),
    "404": (404, {"method": "GET", "path": "/absent"}),
    "405": (405, {"method": "DELETE", "path": "/notes"}),
    "413": (413, {"method": "POST", "path": "/notes", "body": "x" * (LIMIT + 1)}),
    "500": (500, {"method": "GET", "path": "/broken"}),
}


@pytest.mark.parametrize(("status", "request_"), ANSWERS.values(), ids=list(ANSWERS))
def test_every_answer_carries_the_security_headers_and_the_id(
    status: int, request_: dict[str, Any]
) -> None:
    answer = call(handler, headers={"x-request-id": "abc"}, **request_)

    assert answer.status == status
    assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
    assert answer.headers["x-request-id"] == "abc"


def test_a_route_may_allow_caching() -> None:
    assert call(handler, "GET", "/cached").headers["cache-control"] == "public, max-age=300"


def test_every_answer_is_logged_once_with_route_and_status(log: Log) -> None:
    call(handler, "GET", "/current", route="GET /current/{id}")

    (line,) = log.said("request answered")
    assert (line["route"], line["status_code"]) == ("GET /current/{id}", 200)


def test_each_line_names_the_gateways_id_of_its_own_request(log: Log) -> None:
    gateways: list[str] = []

    def noted(event: dict[str, Any], context: Any) -> dict[str, Any]:
        gateways.append(event["requestContext"]["requestId"])
        return handler(event, context)

    for path in ("/current", "/broken"):
        call(noted, "GET", path)

    assert len(set(gateways)) == 2
    assert list(dict.fromkeys(line["gateway_request_id"] for line in log.lines)) == gateways


def note_of(size: int) -> str:
    """Return a body of exactly `size` bytes."""
    return json.dumps({"text": ""})[:-2] + "x" * (size - len('{"text": ""}')) + '"}'


def test_a_body_at_the_limit_is_read() -> None:
    assert call(handler, "POST", "/notes", body=note_of(LIMIT)).status == 200


@pytest.mark.parametrize("size", [LIMIT + 1, 10_000_000])
def test_a_body_over_the_limit_is_refused(size: int) -> None:
    assert_refused(call(handler, "POST", "/notes", body=note_of(size)))


def test_the_limit_counts_bytes_and_looks_into_base64() -> None:
    body = json.dumps({"text": "\N{SNOWMAN}" * (LIMIT // 3)}, ensure_ascii=False).encode()
    headers = {"content-type": "application/vnd.fieldgate+json"}

    assert_refused(call(handler, "POST", "/notes", body=body))
    assert_refused(call(handler, "POST", "/notes", body=body, headers=headers))


def test_the_limit_holds_where_nothing_reads_the_body() -> None:
    assert_refused(call(handler, "GET", "/empty", body="x" * (LIMIT + 1)))


def test_an_app_may_take_more_or_less() -> None:
    small = create_app("small", limit=None, public=True, max_body_bytes=10)

    assert_refused(call(entry_point(small), "POST", "/", body="x" * 11))


@pytest.mark.parametrize("declared", ["9" * 5000, "-1", "many"])
def test_a_strange_content_length_does_no_harm(declared: str) -> None:
    headers = {"content-length": declared}

    assert call(handler, "GET", "/current", headers=headers).status == 200


def assert_refused(answer: Answer) -> None:
    assert answer.status == 413
    assert answer.error["code"] == "PAYLOAD_TOO_LARGE"
    assert "bytes at most" in answer.error["message"]
