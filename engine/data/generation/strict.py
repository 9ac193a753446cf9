"""What all parts of a `GENERATE.yml` are: pydantic models that take no unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    """No unknown keys, no value of another type, and nothing is changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
