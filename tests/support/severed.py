"""A run that ends at an exact moment of its talk with the database: killed, or cut off.

for step in count():
    with severed(step, "killed", "after") as severing:
        with suppress(Killed): relay(...)
    if not severing.happened: break      # that many statements, commits included, there are
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from unittest.mock import patch

from fieldgate.db.driver import Connection

type How = Literal["killed", "dropped"]
type When = Literal["before", "after"]


class Killed(BaseException):
    """What no code may catch: the process is gone."""


@dataclass
class Severing:
    """Whether it came to it, and at which statement."""

    happened: bool = False
    statement: str = ""


@contextmanager
def severed(step: int, how: How, when: When) -> Iterator[Severing]:
    """Befall statement number `step`, from 0, COMMIT being one, of what runs in the block.

    `killed` raises where nothing can be said to the server any more; `dropped` closes the socket
    under the connection.
    """
    severing = Severing()
    statements = iter(range(step + 1))
    execute = Connection.execute_unnamed

    def befall(connection: Connection, statement: str) -> None:
        severing.happened, severing.statement = True, statement
        connection.abandon()
        if how == "killed":
            raise Killed

    def executed(connection: Connection, statement: str, *rest: Any, **others: Any) -> Any:
        is_it = not severing.happened and next(statements, None) == step
        if is_it and when == "before":
            befall(connection, statement)
        result = execute(connection, statement, *rest, **others)
        if is_it and when == "after":
            befall(connection, statement)
        return result

    with patch.object(Connection, "execute_unnamed", executed):
        yield severing
