"""For how long what a run writes is kept: the keys of `retention`."""

from __future__ import annotations

from pydantic import ConfigDict, Field, model_validator

from engine.fields.file_model import FileModel
from engine.fields.values import Number, expected
from engine.suite.suite import RetentionConfig

_KEYS = ("predictions_days", "reports_days")
_MOST_DAYS = 100 * 366.0


class RetentionFile(FileModel):
    """For how many days `maintain` keeps predictions and reports; by default for good."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [key]} for key in _KEYS]})

    predictions_days: Number | None = Field(
        None, ge=0, le=_MOST_DAYS, description="Days that a kept prediction stays after it is made."
    )
    reports_days: Number | None = Field(
        None, ge=0, le=_MOST_DAYS, description="Days that a run's report stays after it began."
    )

    @model_validator(mode="after")
    def _check_some(self) -> RetentionFile:
        if all(getattr(self, key) is None for key in _KEYS):
            raise expected("predictions_days, reports_days or both")
        return self

    def config(self) -> RetentionConfig:
        """The keys as the engine works with them."""
        return RetentionConfig(self.predictions_days, self.reports_days)
