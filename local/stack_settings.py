"""Where a stack is: its ports and its directory."""

import os
from dataclasses import dataclass
from pathlib import Path

from local.child import ServerFailed
from local.template import ROOT

HOST = "127.0.0.1"
LAST_PORT = 65534  # storage takes the one after it


@dataclass(frozen=True)
class StackSettings:
    """`port` is the front door's; storage answers on the next one. `data` holds everything."""

    port: int
    data: Path

    @classmethod
    def from_environment(cls) -> "StackSettings":
        """Read `PORT` (8080) and `FIELDGATE_DATA_DIR` (.local/<port>).

        Raises:
            ServerFailed: PORT is not a port.

        """
        text = os.environ.get("PORT") or "8080"
        if not text.isdecimal() or not 1 <= int(text) <= LAST_PORT:
            raise ServerFailed(f"PORT={text} is not a port; give a number from 1 to {LAST_PORT}.")
        port = int(text)
        data = os.environ.get("FIELDGATE_DATA_DIR") or ROOT / f".local/{port}"
        return cls(port, Path(data).resolve())

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def storage_url(self) -> str:
        return f"http://{HOST}:{self.port + 1}"
