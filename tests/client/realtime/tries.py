"""What is tried again after a pause."""

from functools import partial

from fieldgate_client.realtime import RealtimeState
from tests.client.realtime.conftest import App
from tests.client.realtime.hub import until


def has_tried(app: App, times: int) -> bool:
    return app.states.count(RealtimeState.CONNECTING) >= times


async def try_again(app: App, *pauses: float) -> None:
    for pause in pauses:
        await until(lambda: app.states[-1:] == [RealtimeState.WAITING])
        told = app.states.count(RealtimeState.CONNECTING)
        await app.hands.sleep_out(pause)
        await until(partial(has_tried, app, told + 1))
