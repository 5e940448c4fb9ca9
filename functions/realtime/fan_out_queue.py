"""What the workers that speak to connections are asked for: to send what is due, or to close."""

from collections.abc import Sequence
from itertools import batched
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldgate import queues
from fieldgate.config import Settings, load
from fieldgate.errors import Unavailable
from fieldgate.queues import PoisonMessage

# Of one message, and so of one run of a worker.
MOST_CONNECTIONS = 500

type Task = Literal["send", "close"]


class FanOutQueueSettings(Settings):
    """Where the workers listen."""

    fan_out_queue_url: str


class Work(BaseModel):
    """The body of a message. What there is to send stands with the connections in the database."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    connections: tuple[str, ...] = Field(min_length=1, max_length=MOST_CONNECTIONS)


def fan_out_queue_url() -> str:
    """Return the queue's address; raises ConfigurationError when nobody has set it."""
    return load(FanOutQueueSettings).fan_out_queue_url


def ask_for(task: Task, connections: Sequence[str], queue_url: str) -> None:
    """Have a task done for all of `connections`: asked twice, it is done once.

    Raises:
        Unavailable: the queue didn't take all of it; what it took will be done.

    """
    bodies = [
        Work(task=task, connections=part).model_dump_json()
        for part in batched(connections, MOST_CONNECTIONS, strict=False)
    ]
    for part in batched(bodies, queues.BATCH, strict=False):
        if queues.send_batch(queue_url, part) < len(part):
            raise Unavailable(queues.SENTENCE)


def read(body: str) -> Work:
    """Read a message; raises PoisonMessage when it is none of ours."""
    try:
        return Work.model_validate_json(body)
    except ValidationError as error:
        raise PoisonMessage("not a task of the fan-out") from error
