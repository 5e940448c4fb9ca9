"""What is measured is what is sent, and what fits leaves room for what we add."""

import json
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from fieldgate.push import payload
from fieldgate.push.kinds import KINDS

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(title=WORDS, body=WORDS, data=st.dictionaries(WORDS, WORDS, max_size=4))
def test_what_fits_still_fits_with_what_we_add(title: str, body: str, data: dict[str, str]) -> None:
    if payload.fits(title, body, data):
        whole = {
            "aps": {
                "alert": {"title": title, "body": body},
                "badge": 100_000,
                "sound": "default",
            },
            **payload.with_own(data, uuid4(), max(KINDS, key=len)),
        }
        sent = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
        assert len(sent) <= payload.MAX_BYTES


def test_bytes_count_and_not_characters() -> None:
    assert payload.size("a", "", {}) + 2 == payload.size("é", "", {}) + 1
    assert payload.fits("a" * 3_700, "", {})
    assert not payload.fits("é" * 3_700, "", {})
