"""An app of orders, whose routes take requests well, fail, or refuse."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Query
from pydantic import Field, field_validator

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
from tests.support.gateway import Answer

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


def assert_invalid(answer: Answer) -> list[dict[str, str]]:
    assert answer.status == 400, answer
    assert answer.error["code"] == "VALIDATION_ERROR"
    details: list[dict[str, str]] = answer.error["details"]
    return details


def fields(answer: Answer) -> set[str]:
    return {detail["field"] for detail in assert_invalid(answer)}
