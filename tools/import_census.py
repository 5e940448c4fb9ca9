"""Says which modules each function loads by being imported; run bare, by tools/import_budgets.py.

    python -P tools/import_census.py "fieldgate.http:identity.login identity.logout" ...

Each argument is what some functions begin with, and the functions. They are imported in copies of a
process that has imported the beginning and nothing else, which costs a fifth of a new interpreter
each. Prints a line a function: its name, and the modules that are loaded then. It needs no module
of its own, which would be counted with them.
"""

import os
import sys
from collections.abc import Callable


def main() -> int:
    # Any look into the network while importing is a failure.
    sys.addaudithook(lambda event, _: sys.exit(event) if event.startswith("socket.") else None)
    return max(in_a_copy(lambda: _group(argument)) for argument in sys.argv[1:])  # noqa: B023


def in_a_copy(work: Callable[[], int]) -> int:
    """Do `work` in a copy of this process; return what it returned, or 1 after an error."""
    sys.stdout.flush()
    if copy := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
    status = 1
    try:
        status = work()
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001 - the copy ends here, whatever it was
        sys.excepthook(type(error), error, error.__traceback__)
    os._exit(status)


def _group(argument: str) -> int:
    beginning, _, functions = argument.partition(":")
    for module in beginning.split():
        __import__(module)
    return max(in_a_copy(lambda: _census(function)) for function in functions.split())  # noqa: B023


def _census(function: str) -> int:
    __import__(function)
    print(function, *sorted(sys.modules))
    return 0


if __name__ == "__main__":
    sys.exit(main())
