"""Which kind of network there is, by the interfaces that are up."""

import pytest

from fieldgate_client.network import Advice, Interface, NetworkType, network_type, system_interfaces

PRIVATE = ("192.168.1.20",)


def up(name: str, *addresses: str) -> Interface:
    return Interface(name, up=True, addresses=addresses or PRIVATE)


def test_wifi_comes_before_cellular() -> None:
    assert network_type(lambda: [up("rmnet_data0"), up("wlan0")]) is NetworkType.WIFI


@pytest.mark.parametrize(
    "name", ["wlan0", "wlp3s0", "Wi-Fi", "eth0", "enp0s31f6", "en0", "Ethernet 2"]
)
def test_wifi_and_ethernet_are_both_wifi(name: str) -> None:
    assert network_type(lambda: [up(name)]) is NetworkType.WIFI


@pytest.mark.parametrize("name", ["wwan0", "rmnet_data0", "ccmni1", "pdp_ip0", "ppp0", "Cellular"])
def test_a_modem_is_cellular(name: str) -> None:
    assert network_type(lambda: [up(name)]) is NetworkType.CELLULAR


def test_a_name_that_nobody_knows_is_treated_as_the_kind_that_costs_money() -> None:
    assert network_type(lambda: [up("zz0")]) is NetworkType.CELLULAR


@pytest.mark.parametrize(
    "name", ["lo", "docker0", "br-1f0", "veth12", "vEthernet (WSL)", "tun0", "wg0", "utun3"]
)
def test_what_leads_nowhere_by_itself_is_no_network(name: str) -> None:
    assert network_type(lambda: [up(name)]) is NetworkType.NONE


@pytest.mark.parametrize(
    "addresses",
    [(), ("169.254.10.1",), ("fe80::1%wlan0",), ("169.254.10.1", "fe80::1%wlan0"), ("::1",)],
)
def test_an_interface_without_an_address_of_its_network_is_none(addresses: tuple[str, ...]) -> None:
    assert (
        network_type(lambda: [Interface("wlan0", up=True, addresses=addresses)]) is NetworkType.NONE
    )


def test_an_address_of_ipv6_alone_is_enough() -> None:
    assert (
        network_type(lambda: [up("rmnet0", "fe80::1%rmnet0", "2001:db8::7")])
        is NetworkType.CELLULAR
    )


def test_an_interface_that_is_down_does_not_count() -> None:
    assert (
        network_type(lambda: [Interface("wlan0", up=False, addresses=PRIVATE)]) is NetworkType.NONE
    )


def test_large_uploads_are_for_wifi_and_cellular_asks_for_caution() -> None:
    advice = {kind: (kind.suitable_for_large_uploads, kind.parallel_parts) for kind in NetworkType}

    assert advice == {
        NetworkType.WIFI: (Advice.YES, 4),
        NetworkType.CELLULAR: (Advice.CAUTION, 2),
        NetworkType.NONE: (Advice.NO, 0),
    }


def test_the_systems_own_interfaces_can_be_read() -> None:
    interfaces = {interface.name: interface for interface in system_interfaces()}

    assert any("127.0.0.1" in interface.addresses for interface in interfaces.values())
    assert network_type() in NetworkType
