"""Posting to API Gateway, played on loopback: what each answer means; each is asked for once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain, repeat

import pytest

from fieldgate import deadline
from fieldgate.errors import Unavailable
from fieldgate.sigv4 import Credentials
from realtime import posting
from realtime.posting import Line, Outcome, Poster, at_once
from tests.support.connections_api import Fault, LoopbackApi, run_connections_api
from tests.support.fan_out import CREDENTIALS, line_to, settings_for
from tests.support.log import Log
from tests.support.ports import free_port

NAME = "L0SM9cOFvHcCIhw="
FRAME = b'{"type":6}\x1e'


@pytest.fixture
def api() -> Iterator[LoopbackApi]:
    with run_connections_api() as api:
        api.connect(NAME)
        yield api


def do[T](
    endpoint: str, work: Callable[[Poster], Awaitable[T]], credentials: Credentials = CREDENTIALS
) -> T:
    with closing(line_to(endpoint, credentials)) as line:
        return line.run(work)


def failing(*faults: Fault) -> Callable[[str, str], Fault | None]:
    """Have the first requests fail so, and all after them do well."""
    left = chain(faults, repeat(None))
    return lambda _method, _id: next(left)


def test_a_frame_arrives_as_it_is_at_the_connection_that_is_named(api: LoopbackApi) -> None:
    assert do(api.endpoint, lambda poster: poster.post(NAME, FRAME)) == "delivered"

    assert api.frames == {NAME: [FRAME]}
    assert api.refusals == []


def test_a_connection_that_is_deleted_is_gone(api: LoopbackApi) -> None:
    async def work(poster: Poster) -> list[Outcome]:
        return [
            await poster.delete(NAME),
            await poster.delete(NAME),
            await poster.post(NAME, FRAME),
        ]

    assert do(api.endpoint, work) == ["delivered", "gone", "gone"]
    assert api.deleted == [NAME]


@pytest.mark.parametrize("fault", [429, 500, 502, 503, 504, "cut"])
def test_what_may_do_another_time_is_passing_and_nothing_waits_for_it(
    api: LoopbackApi, fault: Fault
) -> None:
    api.headers = {"Retry-After": "3600"}
    api.choose_fault = lambda _method, _name: fault

    async def work(poster: Poster) -> list[Outcome]:
        return [await poster.post(NAME, FRAME), await poster.delete(NAME)]

    assert do(api.endpoint, work) == ["passing", "passing"]
    assert api.asked[:2] == [("POST", NAME), ("DELETE", NAME)]
    # What may be asked for twice, aiohttp does when the line is cut.
    assert len(api.asked) == (3 if fault == "cut" else 2)
    assert (api.frames, api.deleted) == ({}, [])


@pytest.mark.parametrize("fault", [400, 403, 413])
def test_what_no_repeat_helps_is_refused_and_said(api: LoopbackApi, log: Log, fault: int) -> None:
    api.choose_fault = failing(fault)

    assert do(api.endpoint, lambda poster: poster.post(NAME, FRAME)) == "refused"

    (line,) = log.said("connection not spoken to")
    assert (line["status"], line["method"]) == (fault, "POST")
    assert len(api.asked) == 1


def test_a_signature_of_somebody_else_is_refused(api: LoopbackApi, log: Log) -> None:
    other = replace(CREDENTIALS, secret_key="another")

    assert do(api.endpoint, lambda poster: poster.post(NAME, FRAME), other) == "refused"
    assert api.refusals == ["another signature"]


def test_who_does_not_answer_is_not_waited_for(
    api: LoopbackApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "POST_SECONDS", 0.1)
    api.choose_fault = failing("hang")

    assert do(api.endpoint, lambda poster: poster.post(NAME, FRAME)) == "passing"


def test_where_nobody_listens_it_is_passing() -> None:
    endpoint = f"http://127.0.0.1:{free_port()}/live"

    assert do(endpoint, lambda poster: poster.post(NAME, FRAME)) == "passing"


def test_a_few_connections_carry_all_requests(api: LoopbackApi) -> None:
    names = [f"{number}=" for number in range(1000)]
    api.connect(*names)
    # So that answers are waited for, and as many as may are asked at once.
    api.choose_latency = lambda: 0.002

    async def work(poster: Poster) -> None:
        async def post(name: str) -> None:
            assert await poster.post(name, FRAME) == "delivered"

        await at_once(names, post)

    do(api.endpoint, work)

    assert sorted(api.frames) == sorted(names)
    assert 1 < api.most_at_once <= posting.AT_ONCE
    assert api.accepted <= posting.AT_ONCE


def test_few_requests_are_not_worth_many_connections(api: LoopbackApi) -> None:
    done = []

    async def work() -> None:
        running = 0

        async def one(number: int) -> None:
            nonlocal running
            running += 1
            assert running <= 2
            await asyncio.sleep(0)
            running -= 1
            done.append(number)

        await at_once(range(8), one)
        await at_once([], one)

    asyncio.run(work())

    assert sorted(done) == list(range(8))


# From run to run


def post_once(line: Line) -> Outcome:
    return line.run(lambda poster: poster.post(NAME, FRAME))


def test_the_next_run_has_the_connections_of_the_last(api: LoopbackApi) -> None:
    with closing(line_to(api.endpoint)) as line:
        assert [post_once(line) for _ in range(3)] == ["delivered"] * 3

    assert api.accepted == 1


def test_who_hung_up_between_two_runs_is_not_posted_to(api: LoopbackApi) -> None:
    with closing(line_to(api.endpoint)) as line:
        assert post_once(line) == "delivered"
        api.hang_up()
        assert post_once(line) == "delivered"

    assert api.accepted == 2


def test_what_was_kept_for_long_is_not_relied_on(
    api: LoopbackApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(line_to(api.endpoint)) as line:
        post_once(line)
        monkeypatch.setattr(posting, "IDLE_SECONDS", 0)
        post_once(line)

    assert api.accepted == 2


def test_each_run_has_the_credentials_of_its_time(api: LoopbackApi) -> None:
    known = [replace(CREDENTIALS, secret_key="another"), CREDENTIALS]
    with closing(Line(settings_for(api.endpoint), known.pop)) as line:
        assert [post_once(line), post_once(line)] == ["delivered", "refused"]


def test_a_run_has_the_time_of_its_own_and_not_what_the_first_had(api: LoopbackApi) -> None:
    left = []

    async def look_at_the_clock(_: Poster) -> None:
        left.append(deadline.seconds_left())

    with closing(line_to(api.endpoint)) as line:
        with deadline.within(0):
            assert post_once(line) == "delivered"
        with deadline.within(60):
            line.run(look_at_the_clock)

    assert 50 < left[0] <= 60


def test_a_run_that_fails_leaves_the_line_in_order(api: LoopbackApi) -> None:
    async def fail(poster: Poster) -> None:
        raise Unavailable("down")

    with closing(line_to(api.endpoint)) as line:
        with pytest.raises(Unavailable):
            line.run(fail)
        assert post_once(line) == "delivered"
