"""A loopback @connections in a process of its own, for `benchmarks.fan_out`.

    python -m benchmarks.connections_server [--latency 0.01] [--verify-every 100]

It prints its address, serves whatever connection is named until its input ends, then prints what it
answered, as JSON.
"""

import argparse
import asyncio
import json
import sys

from tests.support.connections_api import LoopbackApi, listen, stop


async def _serve(latency: float, verify_every: int) -> None:
    api = LoopbackApi(anybody=True, verify_every=verify_every)
    api.choose_latency = lambda: latency
    api.on_taken = lambda connection_id, _frame: api.frames.pop(connection_id)
    server = await listen(api)
    print(api.endpoint, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await stop(server)
    print(json.dumps({"answers": api.answers, "refusals": api.refusals[:3]}), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.connections_server")
    parser.add_argument("--latency", type=float, default=0, help="of an answer, in seconds")
    parser.add_argument("--verify-every", type=int, default=1, help="of so many requests, one")
    arguments = parser.parse_args()
    asyncio.run(_serve(arguments.latency, arguments.verify_every))
