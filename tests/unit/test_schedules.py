"""What a round has: the event's id, and the function's time but for a reserve."""

import math

from fieldgate import deadline, request_id
from fieldgate.observability import logger
from fieldgate.schedules import RESERVE_SECONDS, one_round
from tests.support.gateway import LambdaContext
from tests.support.log import Log


def test_a_round_has_the_functions_time_but_for_a_reserve() -> None:
    with one_round({}, LambdaContext(28_000)):
        assert 19 < deadline.seconds_left() <= 28 - RESERVE_SECONDS
    assert deadline.seconds_left() == math.inf


def test_a_round_works_and_logs_under_the_events_id(log: Log) -> None:
    with one_round({"id": "of-an-event"}, LambdaContext()):
        assert request_id.current() == "of-an-event"
        logger().info("at work")
    (line,) = log.said("at work")
    assert line["request_id"] == "of-an-event"
