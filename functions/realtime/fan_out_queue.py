"""What the workers that speak to connections are asked for: to send what is due, or to close."""

from collections.abc import Mapping, Sequence
from itertools import batched
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldgate import queues
from fieldgate.errors import Unavailable
from fieldgate.queues import PoisonMessage
from fieldgate.settings import Settings, load

# Of one message, and so of one run of a worker.
MOST_CONNECTIONS = 500
# After pauses of 1 s, 2 s, up to 32 s: who takes nothing for a minute is not going to.
LAST_TRY = 6

type Task = Literal["send", "close"]
type ConnectionId = Annotated[str, Field(pattern=r"^[!-~]{1,128}$")]


class FanOutQueueSettings(Settings):
    """Where the workers listen."""

    fan_out_queue_url: str


class Work(BaseModel):
    """The body of a message. What there is to send stands with the connections in the database.

    `tries` went before, in a row and in vain.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    connections: tuple[ConnectionId, ...] = Field(min_length=1, max_length=MOST_CONNECTIONS)
    tries: int = Field(default=0, ge=0, le=LAST_TRY)


def fan_out_queue_url() -> str:
    """Return the queue's address; raises ConfigurationError when nobody has set it."""
    return load(FanOutQueueSettings).fan_out_queue_url


def ask_for(task: Task, connections: Sequence[str], queue_url: str, *, tries: int = 0) -> None:
    """Have a task done for all of `connections`: asked twice, it is done once.

    After some `tries` it is done after a pause.

    Raises:
        Unavailable: the queue didn't take all of it; what it took will be done.

    """
    bodies = [
        Work(task=task, connections=part, tries=tries).model_dump_json(exclude_defaults=True)
        for part in batched(connections, MOST_CONNECTIONS, strict=False)
    ]
    for part in batched(bodies, queues.BATCH, strict=False):
        if queues.send_batch(queue_url, part, delay_seconds=pause_seconds(tries)) < len(part):
            raise Unavailable(queues.SENTENCE)


def pause_seconds(tries: int) -> int:
    """Return how long to wait after so many tries: 0, 1, 2, 4, up to 32 s."""
    return 1 << (min(tries, LAST_TRY) - 1) if tries else 0


def again(task: Task, tries: Mapping[str, int]) -> list[Work]:
    """Return what is to be asked for connections that had so many tries, but for the last."""
    return [
        Work(task=task, connections=tuple(name for name in tries if tries[name] == had), tries=had)
        for had in sorted(set(tries.values()))
        if had <= LAST_TRY
    ]


def read(body: str) -> Work:
    """Read a message; raises PoisonMessage when it is none of ours."""
    try:
        return Work.model_validate_json(body)
    except ValidationError as error:
        raise PoisonMessage("not a task of the fan-out") from error
