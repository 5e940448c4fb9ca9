"""Which queries are watched among a million rows: every one, or there is a reason."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from local.template import ROOT
from tests.integration.db.hot_queries import (
    test_identity_queries,
    test_push_queries,
    test_realtime_queries,
    test_stock_queries,
    test_upload_queries,
)

WATCHED = (
    test_identity_queries,
    test_push_queries,
    test_realtime_queries,
    test_stock_queries,
    test_upload_queries,
)
# By a reason that holds for it.
COLD = {
    "configuration.store.put_after": "of a key that an admin takes back, in a table of some keys",
    "uploads.upload_store.move": "what the functions beside it execute; the conditions are theirs",
}


def queries(path: Path) -> Iterator[str]:
    """Return the functions of a store that are given a connection to ask."""
    name = ".".join(path.relative_to(ROOT / "functions").with_suffix("").parts)
    module = import_module(name)
    for function, it in inspect.getmembers(module, inspect.isfunction):
        is_query = "connection" in inspect.signature(it).parameters
        if it.__module__ == name and is_query and not function.startswith("_"):
            yield f"{name}.{function}"


def test_every_query_of_a_store_is_watched_among_a_million_rows() -> None:
    stores = [*(ROOT / "functions").glob("*/store.py"), *(ROOT / "functions").glob("*/*_store.py")]
    there = {query for path in stores for query in queries(path)}
    watched = {name.partition(",")[0] for module in WATCHED for name in module.QUERIES}
    assert there - watched == set(COLD)
    assert not watched & set(COLD)
