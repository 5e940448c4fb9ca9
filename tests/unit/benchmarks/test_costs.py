import math

import pytest

from benchmarks.cost_field import Field
from benchmarks.cost_usage import USAGE, Usage, usual
from benchmarks.cost_workflows import Counted, billed, memory_sizes, schedules, times_a_month
from benchmarks.costs import FIXED, Model, knobs
from benchmarks.load_queues import mappings
from benchmarks.load_service import QUEUES
from benchmarks.load_workers import Call
from benchmarks.realtime_costs import prices

NOTHING = Counted()


def counted(**things: Counted) -> dict[str, Counted]:
    """Return what was counted: nothing, but for `things`, whose spaces are underlines."""
    named = {name.replace("_", " "): each for name, each in things.items()}
    woken = {f"schedule: {module}": NOTHING for module, _ in schedules()}
    done = {thing for things in usual().features().values() for thing in things}
    return dict.fromkeys(done, NOTHING) | woken | named


def test_work_takes_longer_with_a_part_of_a_processor_and_waiting_does_not() -> None:
    assert billed(Call(waited=100, worked=0), 512) == 100
    assert billed(Call(waited=100, worked=100), 1769) == 100
    assert billed(Call(waited=110, worked=100), 885) == math.ceil(10 + 100 * 1769 / 885)
    assert billed(Call(waited=0.2, worked=0.1), 3008) == 1


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("rate(1 minute)", 43200),
        ("rate(10 minutes)", 4320),
        ("rate(1 hour)", 720),
        ("cron(0 4 * * ? *)", 30),
    ],
)
def test_schedules_come_so_often_a_month(expression: str, times: float) -> None:
    assert times_a_month(expression) == times


def test_a_schedule_that_is_not_understood_is_an_error() -> None:
    with pytest.raises(ValueError, match="cron"):
        times_a_month("cron(0 4 ? * MON *)")


def test_a_bill_is_what_was_counted_times_how_often_it_is_done() -> None:
    ping = Counted(
        {"realtime.on_message": 1}, {"realtime.on_message": 2}, {"WebSocket messages": 2}
    )
    megabytes = memory_sizes()["realtime.on_message"]
    once = (
        prices()["lambda_request"]
        + megabytes / 1024 * 0.002 * prices()["lambda_gb_second"]
        + 2 * prices()["websocket_message"]
    )
    use = usual().values
    pings = use["days a month"] * use["hours connected a day"] * 240
    minutes = use["days a month"] * use["hours connected a day"] * 60

    bill = Model(counted(ping=ping), memory_sizes()).features(usual())["realtime"]

    wanted = 1000 * (pings * once + minutes * prices()["connection_minute"])
    assert sum(bill.values()) == pytest.approx(wanted)


def test_half_the_pings_are_half_as_dear_and_the_knob_says_so() -> None:
    ping = Counted(sent={"WebSocket messages": 2})
    model = Model(counted(ping=ping), memory_sizes())
    pings = 1000 * usual().features()["realtime"]["ping"] * 2 * prices()["websocket_message"]

    assert knobs(counted(ping=ping), model)["seconds from ping to ping"] == pytest.approx(
        -pings / 2
    )


def test_every_assumption_is_a_knob_and_every_thing_that_is_done_is_counted() -> None:
    unmoved = {
        name
        for name in USAGE
        if (twice := Usage({**usual().values, name: 2 * usual().values[name]})).features()
        == usual().features()
        and twice.kept_gb == usual().kept_gb
    }
    assert unmoved == {"texts a code"}  # which has a sum of its own
    done = {thing for things in usual().features().values() for thing in things}
    assert done == Field.things(object.__new__(Field)).keys()


def test_prices_say_where_they_are_from_and_each_that_is_used_is_there() -> None:
    assert {price for _, price, _ in FIXED.values()} <= prices().keys()
    assert all(0 < dollars < 10 for dollars in prices().values())


def test_the_load_consumes_every_queue_of_the_template() -> None:
    assert {mapping.queue for mapping in mappings()} == QUEUES.keys()
