"""Rounds of schedules that are made alone: leases in the database, whoever dies or comes twice."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from fieldgate import deadline, schedules
from fieldgate.db.engine import Database
from fieldgate.errors import Unavailable
from fieldgate.schedules import LONGEST_SECONDS, MARGIN_SECONDS, round_alone
from tests.conftest import run_sql
from tests.support.database import count_statements
from tests.support.gateway import LambdaContext
from tests.support.log import Log
from tests.support.racing import race

NAME = "clean_up_the_barn"
EVENT = {"id": "5f0c6a52-6b1f-4c2e-9a55-0c9b1d1f7a09"}
SECONDS = 60


class Killed(BaseException):
    """The process is gone: nothing is given back."""


def make_round(database: Database, work: Any = lambda _: "done", name: str = NAME) -> Any:
    return round_alone(name, EVENT, LambdaContext(SECONDS * 1000), database, work)


def lease_seconds(database_url: str) -> float:
    ((seconds,),) = run_sql(
        database_url,
        "SELECT extract(epoch FROM leased_until - now()) FROM schedule_leases",
    )
    return float(str(seconds))


def lease_until(database_url: str, when: str) -> None:
    run_sql(database_url, f"UPDATE schedule_leases SET leased_until = now() + interval '{when}'")


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedules, "TURN_SECONDS", 0.05)


def test_a_round_works_and_lets_the_next_one_in(database: Database, database_url: str) -> None:
    assert make_round(database) == "done"
    assert lease_seconds(database_url) <= 0
    assert make_round(database) == "done"


def test_while_one_is_at_work_another_is_not(
    database: Database, database_url: str, impatient: None, log: Log
) -> None:
    def work(_database: Database) -> list[object]:
        return race(database_url, [make_round] * 3)

    assert make_round(database, work) == [None, None, None]
    lines = log.said("another round is at work")
    assert [line["schedule"] for line in lines] == [NAME] * 3
    assert make_round(database) == "done"


def test_rounds_of_other_names_go_on(database: Database, database_url: str) -> None:
    def work(_database: Database) -> list[object]:
        return race(database_url, [lambda other: make_round(other, name="another")])

    assert make_round(database, work) == ["done"]


def test_of_twenty_at_once_never_two_work_at_the_same_time(
    database: Database, database_url: str
) -> None:
    gate = threading.Lock()
    worked = []

    def work(_database: Database) -> str:
        assert gate.acquire(blocking=False), "two at once"
        worked.append(1)
        gate.release()
        return "done"

    answers = race(database_url, [lambda other: make_round(other, work)] * 20)
    assert len(worked) == answers.count("done") >= 1


def test_who_comes_second_waits_for_a_turn(database: Database, database_url: str) -> None:
    """What somebody asks for by hand is done, though a regular round is under way just then."""
    began, may_end = threading.Event(), threading.Event()

    def slow(_database: Database) -> str:
        began.set()
        assert may_end.wait(30)
        return "first"

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(make_round, database, slow)
        assert began.wait(30)

        def second(other: Database) -> object:
            threading.Timer(0.1, may_end.set).start()
            return make_round(other, lambda _: "second")

        assert race(database_url, [second]) == ["second"]
        assert first.result() == "first"


def test_a_round_that_fails_lets_the_next_one_in(database: Database) -> None:
    def work(_database: Database) -> None:
        raise Unavailable("Not now.")

    with pytest.raises(Unavailable):
        make_round(database, work)
    assert make_round(database) == "done"


def test_a_killed_round_is_followed_when_the_function_would_have_ended(
    database: Database, database_url: str, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work(_database: Database) -> None:
        raise Killed

    with monkeypatch.context() as context:
        context.setattr(schedules, "_give_back", lambda *_: None)
        with pytest.raises(Killed):
            make_round(database, work)
    assert SECONDS < lease_seconds(database_url) <= SECONDS + MARGIN_SECONDS
    assert make_round(database) is None
    lease_until(database_url, "-1 second")
    assert make_round(database) == "done"


def test_a_clock_that_was_set_back_locks_nobody_out(database: Database, database_url: str) -> None:
    assert make_round(database) == "done"
    lease_until(database_url, f"{LONGEST_SECONDS + 60} seconds")
    assert make_round(database) == "done"


def test_who_was_followed_gives_nothing_back(database: Database, database_url: str) -> None:
    """A round that outlived its lease must not end that of the one after it."""

    def work(_database: Database) -> None:
        run_sql(
            database_url,
            "UPDATE schedule_leases SET holder = gen_random_uuid(),"
            " leased_until = now() + interval '1 minute'",
        )

    make_round(database, work)
    assert lease_seconds(database_url) > 50


def test_a_lease_that_cannot_be_given_back_ends_by_itself(
    database: Database, database_url: str
) -> None:
    def work(other: Database) -> str:
        with deadline.within(30):
            other.transact(lambda connection: connection.execute(text("SELECT 1")))
        run_sql(database_url, "ALTER TABLE schedule_leases RENAME TO lost")
        return "done"

    assert make_round(database, work) == "done"


def test_rounds_are_counted_and_so_are_those_that_were_left_out(
    database: Database, database_url: str, impatient: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(_database: Database) -> None:
        race(database_url, [make_round])
        raise Unavailable("Not now.")

    with pytest.raises(Unavailable):
        make_round(database, work)
    make_round(database)
    written = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    counted = [
        (metric["Name"], one["schedule"])
        for one in written
        for metric in one["_aws"]["CloudWatchMetrics"][0]["Metrics"]
    ]
    assert counted == [("ScheduleSkipped", NAME), ("ScheduleRound", NAME)]


def test_without_time_or_database_nothing_is_done(database: Database) -> None:
    context = LambdaContext(0)
    assert round_alone(NAME, EVENT, context, database, lambda _: "done") is None


def test_a_lease_costs_four_round_trips(database: Database) -> None:
    with count_statements(database) as traffic:
        make_round(database)
    assert traffic.round_trips == 4
