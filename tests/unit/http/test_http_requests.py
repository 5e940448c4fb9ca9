"""What a request must look like, and what is said of one that does not."""

import base64
import json
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import Depends, Path, Query
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator

from fieldgate.db.paging import MOST_COUNTED
from fieldgate.errors import ErrorDetail, FieldgateError, RateLimited, Unavailable
from fieldgate.http import (
    ApiModel,
    Envelope,
    Page,
    PageQuery,
    create_app,
    entry_point,
    envelope,
    page,
)
from fieldgate.http.envelope import UtcTime
from tests.support.gateway import Answer, call
from tests.support.log import Log

SECRET = "hunter2 for +254711000001"


class Item(ApiModel):
    unit_price: Annotated[int, Field(ge=0)]


class Order(ApiModel):
    buyer_name: Annotated[str, Field(min_length=1)]
    line_items: Annotated[list[Item], Field(default_factory=list)]
    note: str = ""

    @field_validator("note")
    @classmethod
    def _polite(cls, note: str) -> str:
        if note == "rude":
            raise ValueError("must be polite")
        return note


class OrderQuery(PageQuery):
    sort_by: str = "name"


async def out_of_order() -> None:
    raise RuntimeError(SECRET)


async def falling_file() -> Any:
    yield "open"
    raise OSError(SECRET)


# A limit that lets the parser see what the standard one refuses by size.
app = create_app("orders", limit=None, public=True, max_body_bytes=1_000_000)


@app.post("/orders", status_code=201)
async def order(order: Order) -> Envelope[Order]:
    return envelope(order)


@app.get("/orders")
async def orders(query: Annotated[OrderQuery, Query()]) -> Page[int]:
    rows = list(range(45))[query.offset : query.offset + query.page_size]
    return page(rows, query, 45)


@app.get("/orders/{orderId}")
async def one_order(order_id: Annotated[UUID, Path(alias="orderId")]) -> Envelope[UUID]:
    return envelope(order_id)


@app.get("/broken")
async def broken() -> Envelope[str]:
    raise KeyError(SECRET)


@app.get("/broken-dependency", dependencies=[Depends(out_of_order)])
async def broken_dependency() -> Envelope[str]:
    return envelope("never")


@app.get("/broken-answer")
async def broken_answer() -> Envelope[int]:
    return Envelope.model_construct(success=True, data=SECRET, meta=None)  # type: ignore[arg-type]


@app.get("/late", dependencies=[Depends(falling_file)])
async def late() -> Envelope[str]:
    return envelope("too late")


@app.get("/limited")
async def limited() -> Envelope[str]:
    raise RateLimited(
        "Too many.", details=[ErrorDetail("phone", "wait")], headers={"Retry-After": "7"}
    )


@app.get("/down")
async def down() -> Envelope[str]:
    try:
        raise ConnectionRefusedError(SECRET)
    except OSError as error:
        raise Unavailable("Please try again shortly.") from error


@app.get("/own-code")
async def own_code() -> Envelope[str]:
    raise FieldgateError("Ours.", code="MORE_EXACT")


handler = entry_point(app)


@pytest.fixture(autouse=True)
def quiet(log: Log) -> None:
    """Keep the log to the test."""


def assert_invalid(answer: Answer) -> list[dict[str, str]]:
    assert answer.status == 400, answer
    assert answer.error["code"] == "VALIDATION_ERROR"
    details: list[dict[str, str]] = answer.error["details"]
    return details


def fields(answer: Answer) -> set[str]:
    return {detail["field"] for detail in assert_invalid(answer)}


def test_a_good_request_is_answered_in_the_envelope() -> None:
    answer = call(handler, "POST", "/orders", content={"buyerName": "Grower"})

    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    content = answer.json()
    assert content["success"] is True
    assert content["data"] == {"buyerName": "Grower", "lineItems": [], "note": ""}
    assert set(content["meta"]) == {"timestamp", "version", "requestId"}
    assert content["meta"]["version"] == "1.0"
    assert content["meta"]["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ({}, {"buyerName"}),
        ({"buyerName": ""}, {"buyerName"}),
        ({"buyerName": None}, {"buyerName"}),
        ({"buyerName": 7}, {"buyerName"}),
        (
            {"buyerName": "A", "lineItems": [{"unitPrice": -1}, {}]},
            {"lineItems.0.unitPrice", "lineItems.1.unitPrice"},
        ),
        ({"buyerName": "A", "lineItems": [{"unitPrice": 1}, "beans"]}, {"lineItems.1"}),
        ({"buyerName": "A", "byerName": "A"}, {"byerName"}),
        ({"buyerName": "A", "note": "rude"}, {"note"}),
    ],
)
def test_what_is_wrong_is_said_by_its_camel_case_path(content: Any, wrong: set[str]) -> None:
    assert fields(call(handler, "POST", "/orders", content=content)) == wrong


def test_our_own_sentence_comes_without_the_frameworks() -> None:
    content = {"buyerName": "A", "note": "rude"}

    (detail,) = assert_invalid(call(handler, "POST", "/orders", content=content))
    assert detail == {"field": "note", "message": "must be polite"}


def test_what_was_sent_is_not_sent_back() -> None:
    answer = call(handler, "POST", "/orders", content={"buyerName": [SECRET], "note": 1})

    assert_invalid(answer)
    assert b"hunter2" not in answer.body


@pytest.mark.parametrize("content", [[], [{}], "text", 7, 1.5, True])
def test_json_of_another_kind_is_invalid(content: Any) -> None:
    assert_invalid(call(handler, "POST", "/orders", content=content))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "not json",
        "{",
        '{"buyerName": "A"',
        "{'buyerName': 'A'}",
        "\0",
        '{"buyerName": "a\0b"}',
        "buyerName=Grower",
        "NaN",
    ],
)
def test_a_body_that_is_not_json_is_invalid(body: str) -> None:
    assert_invalid(call(handler, "POST", "/orders", body=body))


def test_no_body_at_all_is_invalid() -> None:
    assert_invalid(call(handler, "POST", "/orders"))


@pytest.mark.parametrize(
    "nested",
    [
        "[" * 100_000,
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 100_000,
        '{"note":' + "[" * 5_000 + "]" * 5_000 + "}",
    ],
)
def test_deep_nesting_is_invalid(nested: str) -> None:
    assert_invalid(call(handler, "POST", "/orders", body=nested))


@pytest.mark.parametrize(
    "body", [b"\xff\xfe\xfd", b'{"buyerName": "\xe9"}', b'{"buyerName": "\xed\xa0\x80"}']
)
def test_a_body_that_is_not_utf_8_is_invalid(body: bytes) -> None:
    assert_invalid(call(handler, "POST", "/orders", body=body))


@pytest.mark.parametrize(
    "body",
    [
        r'{"buyerName": "\ud800"}',
        r'{"buyerName": "A", "\ud800": 1}',
        r'{"buyerName": "A", "lineItems": [{"\udfff": 1}]}',
        r'{"\u0000": 1}',
    ],
)
def test_half_a_surrogate_pair_is_invalid(body: str) -> None:
    assert_invalid(call(handler, "POST", "/orders", body=body))


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "x", ""],
)
def test_another_content_type_is_not_read_as_json(content_type: str) -> None:
    body = json.dumps({"buyerName": "A"})
    headers = {"content-type": content_type}

    (detail,) = assert_invalid(call(handler, "POST", "/orders", body=body, headers=headers))
    assert detail == {"field": "body", "message": "must be a JSON object, sent as application/json"}


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON"]
)
def test_json_is_known_by_its_content_type(content_type: str) -> None:
    body = json.dumps({"buyerName": "A"})
    headers = {"content-type": content_type}

    assert call(handler, "POST", "/orders", body=body, headers=headers).status == 201


def test_a_body_in_base64_is_read() -> None:
    def in_base64(event: dict[str, Any], context: Any) -> dict[str, Any]:
        body = base64.b64encode(event["body"].encode()).decode()
        return handler(event | {"body": body, "isBase64Encoded": True}, context)

    answer = call(in_base64, "POST", "/orders", content={"buyerName": "\N{SNOWMAN}"})

    assert answer.data["buyerName"] == "\N{SNOWMAN}"


def test_nul_inside_a_json_string_reaches_the_domain() -> None:
    assert (
        call(handler, "POST", "/orders", content={"buyerName": "a\0b"}).data["buyerName"] == "a\0b"
    )


def test_a_bad_path_is_invalid_and_named_as_the_contract_names_it() -> None:
    for path in ("/orders/1", "/orders/%00", "/orders/..", "/orders/%F0%9F"):
        assert fields(call(handler, "GET", path)) == {"orderId"}


@pytest.mark.parametrize(
    ("query", "wrong"),
    [
        ("page=0", {"page"}),
        ("page=-1", {"page"}),
        ("page=x", {"page"}),
        ("page=1000001", {"page"}),
        ("page=" + "9" * 5000, {"page"}),
        ("pageSize=0", {"pageSize"}),
        ("pageSize=101&page=0", {"page", "pageSize"}),
        ("pagesize=10", {"pagesize"}),
    ],
)
def test_a_bad_query_is_invalid(query: str, wrong: set[str]) -> None:
    assert fields(call(handler, "GET", "/orders", query=query)) == wrong


def test_a_page_has_the_shape_of_the_contract() -> None:
    content = call(handler, "GET", "/orders", query={"page": "2"}).json()

    assert content["data"] == list(range(20, 40))
    assert content["pagination"] == {
        "page": 2,
        "pageSize": 20,
        "total": 45,
        "totalPages": 3,
        "hasNextPage": True,
        "hasPreviousPage": True,
    }
    assert set(content) == {"success", "data", "pagination", "meta"}


@pytest.mark.parametrize(
    ("number", "size", "rows", "before", "after"),
    [
        (1, 20, 20, False, True),
        (3, 20, 5, True, False),
        (1, 100, 45, False, False),
        (9, 20, 0, True, False),
    ],
)
def test_a_page_knows_its_neighbours(
    number: int, size: int, rows: int, before: bool, after: bool
) -> None:
    query = {"page": str(number), "pageSize": str(size)}
    content = call(handler, "GET", "/orders", query=query).json()

    assert len(content["data"]) == rows
    assert content["pagination"]["hasPreviousPage"] is before
    assert content["pagination"]["hasNextPage"] is after


def test_a_page_of_nothing_has_no_pages() -> None:
    pagination = page([], PageQuery(), 0).pagination

    assert (pagination.total_pages, pagination.has_next_page) == (0, False)


@pytest.mark.parametrize(
    ("size", "rows", "after"), [(20, 20, True), (20, 19, False), (20, 0, False)]
)
def test_where_counting_ended_there_may_be_another_page(size: int, rows: int, after: bool) -> None:
    beyond = PageQuery.model_validate({"page": MOST_COUNTED // size + 7, "pageSize": size})
    assert page([0] * rows, beyond, MOST_COUNTED).pagination.has_next_page is after


def test_a_time_is_written_in_utc_and_needs_its_zone() -> None:
    class Meeting(ApiModel):
        starts_at: UtcTime

    meeting = Meeting.model_validate({"startsAt": "2026-01-10T13:00:00.5+03:00"})
    assert meeting.model_dump(mode="json", by_alias=True) == {
        "startsAt": "2026-01-10T10:00:00.500Z"
    }

    with pytest.raises(ValidationError, match="a time needs its zone"):
        Meeting.model_validate({"startsAt": "2026-01-10T13:00:00"})


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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_body_whatever_makes_a_500(body: bytes) -> None:
    assert_invalid(call(handler, "POST", "/orders", body=body))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["buyerName", "lineItems", "note", "x"]) | st.text(max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.integers(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
            max_leaves=5,
        ),
        max_size=4,
    )
)
def test_any_json_is_taken_or_refused_with_400(content: dict[str, Any]) -> None:
    assert call(handler, "POST", "/orders", content=content).status in {201, 400}
