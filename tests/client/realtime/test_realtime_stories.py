"""Whatever happens on the way, an app hears everything, in order; and where it lives, once."""

import asyncio
import os
import random
import signal
import sys
from pathlib import Path

import pytest

from tests.client.realtime.conftest import REFETCH, App, Tell
from tests.client.realtime.hub import until

PROGRAM = Path(__file__).with_name("realtime_process.py")


@pytest.mark.parametrize("seed", range(8))
def test_it_hears_everything_once_and_in_order_however_connections_end(
    tell: Tell, seed: int
) -> None:
    chance = random.Random(seed)

    async def story(app: App) -> None:
        app.hub.page = chance.randint(1, 5)
        async with app.live() as realtime:
            app.doing = lambda _: asyncio.sleep(chance.choice([0, 0, 0.001]))
            await realtime.subscribe("lots")
            for _ in range(60):
                match chance.randint(0, 9):
                    case 0:
                        await app.hub.line.cut()
                    case 1:
                        close = {"type": "close", "reason": "x", "reconnect": True}
                        await app.hub.line.say(close)
                    case 2:
                        app.hub.handshakes = [chance.choice([500, 403])]
                    case 3:
                        for message in app.hub.missed(app.hub.line, chance.randint(0, 60)):
                            await app.hub.line.say(message)  # once more
                    case 4:
                        app.hub.happened()  # and it will be told later
                        await app.hub.line.cut()
                    case _:
                        await app.hub.happens(chance.choice(["own:1", "lots", "not for it"]))
                app.hands.pass_by(chance.choice([0, 0.5, 1]))
                await asyncio.sleep(0)
            await app.hub.happens()
            wanted = [str(each["offset"]) for each in app.hub.all_but("not for it")]
            async with app.hands.running():
                await until(lambda: app.heard[-1] == wanted[-1])
            assert app.heard == [REFETCH, *wanted]

    tell(story)


def test_a_process_that_is_killed_while_it_deals_with_something_hears_of_it_again(
    tell: Tell,
) -> None:
    async def process(app: App, *until_offset: str) -> tuple[int, list[str]]:
        running = await asyncio.create_subprocess_exec(
            sys.executable,
            PROGRAM,
            app.home,
            app.hub.url,
            *until_offset,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ,
        )
        said, _ = await running.communicate()
        assert running.returncode is not None
        return running.returncode, said.decode().split()

    async def story(app: App) -> None:
        async with app.live():
            pass
        for _ in range(4):
            app.hub.happened()
        assert await process(app, "die", "2") == (-signal.SIGKILL, ["1", "2"])
        assert await process(app, "end", "4") == (0, ["2", "3", "4"])

    tell(story)
