"""What answers a probe, and what that says about the network."""

import asyncio
import ssl
from collections.abc import Sequence

import httpx
import pytest

from fieldgate_client.captive_portal import Reach, probe
from tests.client.portal import (
    DRIP,
    HANG_UP,
    LOGIN_PAGE,
    NO_CONTENT,
    NOT_ALLOWED,
    REDIRECT,
    SILENCE,
    Answers,
    portal,
)

SHORT = 0.05
OWN = "https://api.test/generate_204"
SECOND = "http://second.test/generate_204"
THIRD = "http://third.test/generate_204"


def probed(
    head: Sequence[str] = (NO_CONTENT,),
    get: Sequence[str] = (NO_CONTENT,),
    seconds: float = 5.0,
    host: str = "127.0.0.1",
) -> tuple[Reach, list[str]]:
    """Probe a server on loopback that answers so; return the verdict and what it was asked."""

    async def run() -> tuple[Reach, list[str]]:
        async with asyncio.timeout(10), portal(head=head, get=get, host=host) as server:
            return await probe([f"{server.url}/generate_204"], seconds=seconds), server.asked

    return asyncio.run(run())


def verdict(own: int | Exception, *others: int | Exception) -> tuple[Reach, list[str]]:
    """Probe our server over https, then the public ones."""
    answers = dict(zip((OWN, SECOND, THIRD), (own, *others), strict=False))
    network = Answers(answers)
    return asyncio.run(probe(list(answers), network)), network.asked


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_204_to_head_is_online_and_nothing_else_is_asked(host: str) -> None:
    assert probed(host=host) == (Reach.ONLINE, ["HEAD /generate_204"])


def test_a_server_that_takes_no_head_is_asked_by_get() -> None:
    assert probed(head=[NOT_ALLOWED]) == (
        Reach.ONLINE,
        ["HEAD /generate_204", "GET /generate_204"],
    )


def test_a_proxy_that_drops_head_is_asked_by_get() -> None:
    assert probed(head=[HANG_UP])[0] is Reach.ONLINE


def test_a_login_page_is_a_captive_portals_and_is_not_read() -> None:
    assert probed(head=[NOT_ALLOWED], get=[LOGIN_PAGE])[0] is Reach.CAPTIVE


def test_a_redirect_is_a_captive_portals_and_is_not_followed() -> None:
    reach, asked = probed(head=[REDIRECT], get=[REDIRECT])

    assert reach is Reach.CAPTIVE
    assert asked == ["HEAD /generate_204", "GET /generate_204"]


def test_511_is_a_captive_portals() -> None:
    refused = "511 Network Authentication Required"

    assert probed(head=[refused], get=[refused])[0] is Reach.CAPTIVE


def test_a_page_to_head_but_204_to_get_is_online() -> None:
    assert probed(head=[LOGIN_PAGE], get=[NO_CONTENT])[0] is Reach.ONLINE


@pytest.mark.parametrize("never", [SILENCE, DRIP])
def test_an_answer_that_does_not_end_in_time_is_none_and_get_is_not_tried(never: str) -> None:
    assert probed(head=[never], seconds=SHORT) == (Reach.OFFLINE, ["HEAD /generate_204"])


@pytest.mark.parametrize("never", [SILENCE, DRIP])
def test_get_has_a_time_limit_too(never: str) -> None:
    assert probed(head=[NOT_ALLOWED], get=[never], seconds=SHORT)[0] is Reach.OFFLINE


def test_a_server_that_hangs_up_on_everything_is_offline() -> None:
    assert probed(head=[HANG_UP], get=[HANG_UP])[0] is Reach.OFFLINE


def test_our_own_probe_comes_first_and_is_enough() -> None:
    assert verdict(204, 200, 200) == (Reach.ONLINE, [f"HEAD {OWN}"])


def test_the_public_ones_follow_in_their_order_when_ours_is_silent() -> None:
    reach, asked = verdict(httpx.ConnectTimeout("time"), httpx.ConnectError("refused"), 204)

    assert reach is Reach.ONLINE
    assert asked == [f"HEAD {OWN}", f"HEAD {SECOND}", f"HEAD {THIRD}"]


def test_a_portal_that_resolves_every_name_to_itself_is_found_over_http() -> None:
    wrong = httpx.ConnectError(str(ssl.SSLCertVerificationError("certificate verify failed")))

    assert verdict(wrong, 302)[0] is Reach.CAPTIVE


@pytest.mark.parametrize("status", [200, 302, 404, 429, 503])
def test_what_answers_over_https_is_our_server_and_never_a_portal(status: int) -> None:
    assert verdict(status, 204, 204)[0] is Reach.ONLINE
    assert verdict(status)[0] is Reach.OFFLINE


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_an_error_over_http_says_nothing(status: int) -> None:
    assert verdict(httpx.ConnectError("refused"), status, 204)[0] is Reach.ONLINE
    assert verdict(httpx.ConnectError("refused"), status, 302)[0] is Reach.CAPTIVE
    assert verdict(httpx.ConnectError("refused"), status, status)[0] is Reach.OFFLINE


def test_nothing_answers() -> None:
    silent = httpx.ConnectError("no route")

    assert verdict(silent, silent, silent)[0] is Reach.OFFLINE
