"""`python -m local up`: the stack until Ctrl-C. `python -m local demo`: the story, told live."""

import argparse
import asyncio
import sys

from local import demo
from local.api_resources import UnsupportedLocally
from local.child import ServerFailed
from local.stack import StackSettings, serve


def main() -> int:
    """Run a command of the local stack; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local")
    parser.add_argument("command", choices=["up", "demo"])
    command = parser.parse_args().command
    try:
        if command == "up":
            asyncio.run(serve(StackSettings.from_environment()))
            return 0
        return asyncio.run(demo.run())
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nstopped", file=sys.stderr)
        return 130
    except (ServerFailed, UnsupportedLocally) as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
