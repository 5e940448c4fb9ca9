"""`python -m local up`: the stack until Ctrl-C. `python -m local demo`: the story, told live."""

import argparse
import sys

from local.child import ServerFailed


def main() -> int:
    """Run a command of the local stack; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local")
    parser.add_argument("command", choices=["up", "demo"])
    command = parser.parse_args().command
    try:
        return _run(command)
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    except ServerFailed as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1


def _run(command: str) -> int:
    # Not above: importing takes a second, and Ctrl-C in it is no reason for a trace.
    import asyncio  # noqa: PLC0415

    from local import demo  # noqa: PLC0415
    from local.stack import serve  # noqa: PLC0415
    from local.stack_settings import StackSettings  # noqa: PLC0415

    try:
        if command == "demo":
            return asyncio.run(demo.run())
        asyncio.run(serve(StackSettings.from_environment()))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
