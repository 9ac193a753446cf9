"""What all parts of a `GENERATE.yml` are: pydantic models that take no unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from engine.suite import strict_models

Name = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(strict_models.Strict):
    """Here no value is taken for one of another type either."""

    model_config = ConfigDict(strict=True)
