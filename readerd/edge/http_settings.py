"""`[http]`: where scripts and the command line reach the daemon."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class HttpSettings(BaseModel):
    """The unix socket; the default is `READER.sock` in the runtime directory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    socket: Path | None = None


def runtime_directory() -> Path:
    """Where sockets live: what systemd made for us, else /run/readerd, else the user's own."""
    if given := os.environ.get("RUNTIME_DIRECTORY"):
        return Path(given.split(":")[0])
    shared = Path("/run/readerd")
    if os.access(shared, os.W_OK) or "XDG_RUNTIME_DIR" not in os.environ:
        return shared
    return Path(os.environ["XDG_RUNTIME_DIR"]) / "readerd"
