"""A finished run as the Python API gives it: its gate, its cells, and where it was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
from rich.console import Console

from engine.core.environment import hide_logins
from engine.core.locations import Store
from engine.core.vocabulary import Gate, RunOutcome
from engine.lifecycle.request import PromotionResult
from engine.sinks import console, report
from engine.store import results as results_sink


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run, as the Python API returns it; a notebook shows its report.

    `judged_into` is set for a run that was judged again: the folder of its report, if it has one.
    `suite_text` is the suite of an evaluation from Python, as it was asked. `promotions` are what
    the suite's `promote` came to, for each registered model; `promotion_error` why it could not be
    tried.
    """

    outcome: RunOutcome
    store: Store
    tracking_uri: str
    tracking_error: str | None = None
    parents: dict[str, str] = field(default_factory=dict)
    judged_into: Path | None = None
    suite_text: str = ""
    promotions: tuple[PromotionResult, ...] = ()
    promotion_error: str | None = None

    @property
    def run_id(self) -> str:
        return self.outcome.info.run_id

    @property
    def suite(self) -> str:
        """The suite as YAML: what was asked, or of a suite file what it was read as."""
        return self.suite_text or self.outcome.info.suite_resolved

    @property
    def gate(self) -> Gate:
        return self.outcome.gate

    @property
    def exit_code(self) -> int:
        """The process's exit code: the gate's, or 4 when a run that passed stopped after it.

        Then MLflow did not take it, or what its suite promotes could not be looked at. That a
        promotion was refused changes nothing.
        """
        code = self.gate.outcome.exit_code
        stopped = self.tracking_error is not None or self.promotion_error is not None
        return 4 if stopped and code == 0 else code

    @property
    def places(self) -> dict[str, str]:
        """Where to look."""
        folder = self.store.report_folder(self.run_id)
        if self.judged_into is not None:
            folder = self.judged_into
        files = {
            "report": str(folder / "index.html"),
            "junit": str(folder / "junit.xml"),
            "summary": str(folder / "summary.md"),
        }
        if self.judged_into is not None:
            return files if self.judged_into != Path() else {}
        return {
            **files,
            "results": self.store.table("results"),
            "mlflow": hide_logins(self.tracking_uri),
        }

    @property
    def table(self) -> pa.Table:
        """The cells, as the results table has them."""
        return results_sink.cells_table(self.outcome.cells, self.outcome.info)

    def to_pandas(self) -> pd.DataFrame:
        """The cells as a pandas DataFrame."""
        frame: pd.DataFrame = self.table.to_pandas(maps_as_pydicts="strict")
        return frame

    def __str__(self) -> str:
        out = Console(width=100, force_terminal=False, file=None)
        with out.capture() as captured:
            console.render(self.outcome, console=out, places=self.places)
        return captured.get()

    def _repr_html_(self) -> str:
        """The report in a frame of its own, so that its style stays inside."""
        page = report.render(self.outcome).replace("&", "&amp;").replace('"', "&quot;")
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts" '
            'style="width:100%;height:720px;border:0" title="evalmatrix report"></iframe>'
        )
