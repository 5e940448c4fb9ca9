"""What is remembered of connections, and for how many."""

from realtime import dialects


def test_a_dialect_is_known_once_it_was_heard_of() -> None:
    assert dialects.known("a dialect=") is None
    dialects.note("a dialect=", "json")
    assert dialects.known("a dialect=") == "json"


def test_the_memory_does_not_grow_without_bound() -> None:
    for number in range(dialects.MAX_KNOWN * 2):
        dialects.note(f"dialect {number}=", "signalr")
    assert len(dialects._known()) <= dialects.MAX_KNOWN
    assert dialects.known(f"dialect {dialects.MAX_KNOWN * 2 - 1}=") == "signalr"
