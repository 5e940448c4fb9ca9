"""`make smoke BASE_URL=https://…`: does an environment work, seen from outside?

Safe against production at any time: what it makes it takes away again, nobody gets a text or a
push, and it costs a few dozen requests. See docs/deploying.md.
"""

import asyncio
import os
import sys
import time

from tools.smoke_settings import Misuse, Settings


async def run(settings: Settings) -> int:
    """Run the checks, and tell of each; returns the exit code."""
    # Not above: importing takes a second, and Ctrl-C in it is no reason for a trace.
    from tools.smoke_account import check_account  # noqa: PLC0415
    from tools.smoke_public import check_public  # noqa: PLC0415
    from tools.smoke_report import Report  # noqa: PLC0415
    from tools.smoke_talk import talking_to  # noqa: PLC0415

    began = time.monotonic()
    report = Report(settled_at=began + settings.settle_seconds)
    report.console.print(f"[bold]{settings.base_url}[/bold]")
    async with talking_to(settings) as talk:
        distrust = await check_public(report, settings, talk)
        if distrust:
            report.leave_out("signing in, an upload", distrust)
        else:
            await check_account(report, settings, talk)
    return report.close(time.monotonic() - began)


def main() -> int:
    """Run the smoke test; returns 0, 1 for what failed, 2 for misuse, 130 for Ctrl-C."""
    try:
        return asyncio.run(run(Settings.from_environment(os.environ)))
    except Misuse as misuse:
        print(misuse, file=sys.stderr)
        return 2
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("\nstopped", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
