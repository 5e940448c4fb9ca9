"""What kind of network this machine is on, and what is wise to send over it.

A phone asks its system (Dart: connectivity_plus; Android: ConnectivityManager); a computer has only
its network interfaces. The order and the advice are the app's.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import psutil


class Advice(StrEnum):
    """Whether a large upload is wise."""

    YES = "yes"
    CAUTION = "caution"
    NO = "no"


class NetworkType(StrEnum):
    """From the best to none. Ethernet counts as wifi: neither is paid for by the megabyte."""

    WIFI = "wifi"
    CELLULAR = "cellular"
    NONE = "none"

    @property
    def suitable_for_large_uploads(self) -> Advice:
        return _ADVICE[self]

    @property
    def parallel_parts(self) -> int:
        """How many parts of an upload are sent at once; 0 is: wait."""
        return _PARALLEL_PARTS[self]


_ADVICE = {
    NetworkType.WIFI: Advice.YES,
    NetworkType.CELLULAR: Advice.CAUTION,
    NetworkType.NONE: Advice.NO,
}
# Ours: four parts of 512 KiB keep a line of 10 Mbit/s busy over a round trip of a second. On a
# cellular network two cover each other's gaps, and each cut there costs every part under way.
_PARALLEL_PARTS = {NetworkType.WIFI: 4, NetworkType.CELLULAR: 2, NetworkType.NONE: 0}

# As Linux, Android, macOS and Windows name them. Any other name (wwan0, rmnet0, pdp_ip0, ppp0, and
# what nobody taught us) is treated as the kind that costs money.
_WIFI_OR_ETHERNET = re.compile(r"wl|wi-?fi|en|eth|local area", re.IGNORECASE)
# They lead nowhere by themselves: a VPN or a bridge runs over one of the others.
_VIRTUAL = re.compile(
    r"lo\d*$|loopback|docker|br-|veth|virbr|vmnet|vbox|tun|tap|utun|wg|awdl|llw|bridge",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Interface:
    """A network interface: its name, whether it is up, and its addresses as text."""

    name: str
    up: bool
    addresses: tuple[str, ...]


def system_interfaces() -> list[Interface]:
    """Return this machine's interfaces, as the system describes them now."""
    addresses = psutil.net_if_addrs()
    return [
        Interface(
            name,
            state.isup,
            tuple(
                found.address
                for found in addresses.get(name, ())
                if found.family in {socket.AF_INET, socket.AF_INET6}
            ),
        )
        for name, state in psutil.net_if_stats().items()
    ]


def network_type(
    interfaces: Callable[[], Iterable[Interface]] = system_interfaces,
) -> NetworkType:
    """Return the best kind of network among those that are up and have an address."""
    kinds = {_kind(each.name) for each in interfaces() if each.up and _has_way_out(each.addresses)}
    return next((kind for kind in NetworkType if kind in kinds), NetworkType.NONE)


def _kind(name: str) -> NetworkType:
    if _VIRTUAL.match(name):
        return NetworkType.NONE
    return NetworkType.WIFI if _WIFI_OR_ETHERNET.match(name) else NetworkType.CELLULAR


def _has_way_out(addresses: Iterable[str]) -> bool:
    """Whether one is good beyond its own cable; without DHCP there are only link-local ones."""
    found = (ipaddress.ip_address(address.partition("%")[0]) for address in addresses)
    return any(not address.is_link_local and not address.is_loopback for address in found)
