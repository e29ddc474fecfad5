"""Settings of the run room: the reader, its assays, its plates, its journal."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReaderSettings(Settings):
    """`[reader]`: which instrument, where it is attached, what it is called."""

    site: Name
    id: Name
    driver: str
    port: str
    expect_identity: str = ""
    probe_every_s: float = Field(default=60.0, ge=0)  # an idle reader is asked who it is; 0 = never
    options: dict[str, Any] = {}


class AssaysSettings(Settings):
    """`[assays]`: where the assay files are and which one a plate gets."""

    directory: Path
    default: str
    by_barcode: dict[Pattern, str] = {}


class PlatesSettings(Settings):
    """`[plates]`: what a barcode looks like and what must be known before a read."""

    barcode: Pattern = r"^[A-Za-z0-9._-]{1,64}$"
    plate_map: Literal["optional", "required"] = "optional"
    reread: Literal["with-reason", "free", "never"] = "with-reason"
    require_operator: bool = False


class StoreSettings(Settings):
    """`[store]`: the journal."""

    path: Path
    retention_days: int = Field(default=90, ge=1)
