"""What Schemathesis loads beside the description (SCHEMATHESIS_HOOKS in test_described.py)."""

import os
from functools import cache
from typing import Any

import schemathesis
from valkey import Valkey


@schemathesis.hook
def before_call(_context: Any, _case: Any, _kwargs: Any) -> None:
    """Empty the buckets: after some dozens of requests all answers would be 429."""
    _cache().flushall()


@cache
def _cache() -> Valkey:
    return Valkey.from_url(os.environ["FUZZED_CACHE"])
