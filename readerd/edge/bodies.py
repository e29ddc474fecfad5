"""Bodies of the requests at the local door."""

from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field


class Body(BaseModel):
    """Base of request bodies: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


B = TypeVar("B", bound=Body)


class ReadBody(Body):
    """Body of `POST /v1/runs`; all fields optional."""

    plate_barcode: str | None = None
    assay: str | None = None
    operator: str | None = None
    key: str | None = None
    reread_reason: str | None = None
    kit_lot: str | None = Field(default=None, max_length=64)
    kit_expires: str | None = None  # 2027-01-31, or 2027-01
    trigger: str = "http"


class ReasonBody(Body):
    reason: str = Field(min_length=1)


class SampleBody(Body):
    position: str
    sample_id: str
    dilution: float | None = Field(default=None, gt=0, allow_inf_nan=False)  # None = the assay's


class ReviseBody(ReasonBody):
    plate_map_id: str | None = None
    samples: list[SampleBody] | None = None
    masks: dict[str, str] = {}


class AbortBody(Body):
    run_id: str | None = None
    reason: str = "asked for at the local door"


class CarrierBody(Body):
    position: Literal["out", "in"]
