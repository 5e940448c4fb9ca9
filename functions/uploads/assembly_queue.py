"""Asking for a file to be put together. The body of a message is the upload's id."""

from uuid import UUID

from fieldgate import queues
from fieldgate.settings import Settings, load


class AssemblyQueueSettings(Settings):
    """Where the assembler listens."""

    assembly_queue_url: str


def assembly_queue_url() -> str:
    """Return the queue's address; raises ConfigurationError when nobody has set it."""
    return load(AssemblyQueueSettings).assembly_queue_url


def ask_for_assembly(queue_url: str, upload_id: UUID) -> None:
    """Put an upload on the queue: as often as one likes, the assembler works under a lease.

    Raises:
        Unavailable: the queue didn't take it.

    """
    queues.send(queue_url, str(upload_id))
