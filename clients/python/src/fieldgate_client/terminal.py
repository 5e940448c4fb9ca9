"""Where people read: all that is printed there is text, whoever wrote it.

The names of files and the server's messages are others' words. An escape sequence among them would
have the terminal do what they like, a line break would speak in our name, and a mark that turns the
direction of writing would show a name as another.
"""

from typing import Any

from rich.console import Console


class Terminal(Console):
    """Prints names and sentences, not rich's markup, and nothing that a terminal obeys."""

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(
            stderr=stderr, markup=False, highlight=False, emoji=False, soft_wrap=True, **options
        )

    def print(self, *things: Any, **how: Any) -> None:
        super().print(*(shown(it) if isinstance(it, str) else it for it in things), **how)


def shown(text: str) -> str:
    r"""Return a text with all that can't be seen written out: \x1b, \n, \u202e."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )
