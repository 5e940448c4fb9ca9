"""How waits fit into one another: leases, the time-outs of functions, and what is done in them."""

import pytest

from fieldgate.queues import RESERVE_SECONDS
from local import template as sam
from realtime.conversing import ANSWER_SECONDS
from realtime.fan_out_store import LEASE, SOON
from realtime.fanning_out import RELEASE_SECONDS, SENDING_SECONDS
from realtime.on_connect import CONNECT_SECONDS
from realtime.on_disconnect import DISCONNECT_SECONDS
from realtime.posting import POST_SECONDS
from realtime.speaking import END_SECONDS

QUEUE_SECONDS = 3  # of a call to SQS, as in `fieldgate.queues`


@pytest.fixture(scope="module")
def timeouts() -> dict[str, int]:
    """The seconds that template.yaml gives each function of its own accord, by its handler."""
    return {
        properties["Handler"]: properties["Timeout"]
        for _, properties in sam.resources(sam.read_template(), sam.FUNCTION)
        if "Timeout" in properties
    }


def test_a_run_gives_back_what_it_leased_while_it_has_it() -> None:
    assert LEASE.total_seconds() > SENDING_SECONDS + POST_SECONDS + RELEASE_SECONDS
    assert SOON < LEASE


def test_a_run_gives_back_what_it_leased_before_the_function_s_time_is_up(
    timeouts: dict[str, int],
) -> None:
    # A good-bye and the end; then the queue is asked in two calls, or keeps the message in two.
    assert 2 * POST_SECONDS + RELEASE_SECONDS + 4 * QUEUE_SECONDS < RESERVE_SECONDS
    assert timeouts["realtime.fan_out.handler"] - RESERVE_SECONDS > SENDING_SECONDS


def test_a_frame_is_answered_or_its_connection_ended_before_the_gateway_speaks_for_us(
    timeouts: dict[str, int],
) -> None:
    # The other half is for what an environment imports with its first frame.
    assert timeouts["realtime.on_message.handler"] > 2 * (ANSWER_SECONDS + END_SECONDS)
    assert timeouts["realtime.on_connect.handler"] > CONNECT_SECONDS
    assert timeouts["realtime.on_disconnect.handler"] > DISCONNECT_SECONDS
