"""The client's README says every number that the client goes by, and says it right."""

import importlib
import re
from datetime import timedelta
from pathlib import Path

from fieldgate_client.assembled import ExitCode
from fieldgate_client.connectivity import FALLBACK_PROBES
from fieldgate_client.database import SCHEMA
from fieldgate_client.network import NetworkType
from fieldgate_client.policy import Backoff
from fieldgate_client.realtime import RECONNECT, RealtimeState
from fieldgate_client.upload_record import OVER

README = (Path(__file__).parents[2] / "clients/python/README.md").read_text()
ROW = re.compile(r"^\| `(\w+)\.([\w.]+)` \| ([\d,.]+)", re.MULTILINE)
NUMBER = re.compile(r"[A-Z][A-Z_]+")
CLIENT = Path(__file__).parents[2] / "clients/python/src/fieldgate_client"
MODULES = sorted(path.stem for path in CLIENT.glob("*.py") if path.stem != "__init__")
# Not for tuning: they mean what they are.
NAMES = {
    "database.FILE_MODE",
    "database.FOLDER_MODE",
    "captive_portal.NETWORK_AUTHENTICATION_REQUIRED",
}


def seconds_or_count(value: object) -> float | None:
    if isinstance(value, timedelta):
        return value.total_seconds()
    return float(value) if isinstance(value, int | float) else None


def own_numbers() -> dict[str, float]:
    found = {}
    for name in MODULES:
        module = importlib.import_module(f"fieldgate_client.{name}")
        source = Path(str(module.__file__)).read_text()
        for constant, value in vars(module).items():
            number = seconds_or_count(value)
            defined_here = re.search(rf"^{constant}\b.*=", source, re.MULTILINE)
            if NUMBER.fullmatch(constant) and number is not None and defined_here:
                found[f"{name}.{constant}"] = number
    backoff = {f"policy.Backoff.{name}": float(value) for name, value in vars(Backoff()).items()}
    return {name: value for name, value in (found | backoff).items() if name not in NAMES}


def test_every_number_is_in_the_table_with_its_value() -> None:
    told = {
        f"{module}.{constant}": float(value.replace(",", ""))
        for module, constant, value in ROW.findall(README)
    }

    assert told == own_numbers()


def test_how_many_parts_go_at_once_is_told() -> None:
    for told, kind in (
        ("| wifi, ethernet | yes | 4 |", NetworkType.WIFI),
        ("caution: warn before | 2 |", NetworkType.CELLULAR),
        ("| none | no | 0: wait |", NetworkType.NONE),
    ):
        assert told in README
        assert f"| {kind.parallel_parts}" in told


def test_every_exit_code_is_told() -> None:
    for code in ExitCode:
        assert re.search(rf"^\| {code} \| ", README, re.MULTILINE), code


def test_every_module_is_told_of() -> None:
    assert {name for name in MODULES if f"`{name}`" not in README} == set()


def test_its_links_lead_somewhere() -> None:
    folder = Path(__file__).parents[2] / "clients/python"
    for link in re.findall(r"\]\(([^)#]+)", README):
        assert (folder / link).exists(), link


def test_the_public_probes_are_told() -> None:
    for url in FALLBACK_PROBES:
        assert f"`{url}`" in README


def drawn(diagram: str, edge: str, under: str = "") -> set[tuple[str, str]]:
    """Return the edges of a diagram, the first of those that begin so under a heading."""
    text = README.partition(f"\n## {under}\n")[2] if under else README
    drawing = text.partition(f"```mermaid\n{diagram}\n")[2].partition("```")[0]
    return set(re.findall(edge, drawing, re.MULTILINE))


def test_the_states_of_an_upload_are_those_that_are_drawn() -> None:
    edges = drawn("stateDiagram-v2", r"^ +(\w+) --> (\w+)")
    states = {state for edge in edges for state in edge}

    (check,) = re.findall(r"state IN \(([^)]+)\)", SCHEMA[0][1])
    assert states == set(re.findall(r"'(\w+)'", check))
    for state in OVER:
        assert {to for start, to in edges if start == state} == set(), state
    # Given up at any time, a run of any process ends: at the server, or before that knew of it.
    for state in states - {"added", "cancelling", *OVER}:
        assert (state, "cancelling") in edges, state


def test_the_states_of_a_connection_are_those_that_are_drawn() -> None:
    edges = drawn("stateDiagram-v2", r"^ +(\S+) --> (\S+?)(?::|$)", under="Realtime")

    assert {state for edge in edges for state in edge} - {"[*]"} == set(RealtimeState)
    for state in ("signed_out", "ended"):
        assert {to for start, to in edges if start == state} == {"[*]"}


def test_the_delays_of_a_connection_are_told() -> None:
    delays = [f"{RECONNECT.longest(retry):.0f}" for retry in range(1, 8)]

    assert delays[5:] == ["30", "30"]
    assert f"{', '.join(delays[:5])}, then {delays[5]} s" in README
