"""The envelope every answer of the API wears (docs/api.md)."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

from fieldgate import request_id

API_VERSION = "1.0"


def _isoformat(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _with_zone(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError("a time needs its zone")
    return moment


# A moment, written in UTC as 2026-01-10T10:00:00.000Z.
UtcTime = Annotated[
    datetime,
    AfterValidator(_with_zone),
    PlainSerializer(_isoformat, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


class ApiModel(BaseModel):
    """A shape of the API: camelCase outside, snake_case inside.

    A request with a field we don't know is refused: a misspelt name is better heard of at once.
    """

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, validate_by_alias=True, extra="forbid"
    )


class RequestModel(ApiModel):
    """What a client sends. It knows the names that we publish, and not our own for them."""

    model_config = ConfigDict(validate_by_name=False)


class Meta(ApiModel):
    timestamp: UtcTime
    version: str
    request_id: str


class Envelope[T](ApiModel):
    success: bool = True
    data: T
    meta: Meta


class Pagination(ApiModel):
    page: int
    page_size: int
    total: int
    total_pages: int
    has_next_page: bool
    has_previous_page: bool


class Page[T](ApiModel):
    success: bool = True
    data: list[T]
    pagination: Pagination
    meta: Meta


class PageQuery(RequestModel):
    """`?page=&pageSize=`: pages count from 1; the size is 20 unless told and 100 at most."""

    # The far end keeps the row offset inside PostgreSQL's bigint.
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1
    page_size: Annotated[int, Query(ge=1, le=100)] = 20

    @property
    def offset(self) -> int:
        return (self.page - 1) * self.page_size


def meta() -> Meta:
    return Meta(timestamp=datetime.now(UTC), version=API_VERSION, request_id=request_id.current())


def envelope[T](data: T) -> Envelope[T]:
    """Wrap one thing."""
    return Envelope(data=data, meta=meta())


def page[T](rows: list[T], query: PageQuery, total: int) -> Page[T]:
    """Wrap one page of `total` things, or of more, where so many were counted at most."""
    from fieldgate.db.paging import MOST_COUNTED

    may_be_more = total == MOST_COUNTED and len(rows) == query.page_size
    total_pages = -(-total // query.page_size)
    pagination = Pagination(
        page=query.page,
        page_size=query.page_size,
        total=total,
        total_pages=total_pages,
        has_next_page=query.page < total_pages or may_be_more,
        has_previous_page=query.page > 1,
    )
    return Page(data=rows, pagination=pagination, meta=meta())
