"""`discover`: where is a model weak, or worse than the baseline, that nobody listed?

The rows are cut by the values and bins of all columns, two or three at a time. Slices that stand
out on one half of the rows, by a hash of the key, are tested on the other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, create_model

from engine.conditions import CONDITIONS, Decision, LimitRule, Measurement
from engine.conditions.base import inconclusive
from engine.core.vocabulary import (
    Cell,
    Condition,
    DecideBy,
    MetricValue,
    ModelTest,
    Night,
    Verdict,
)
from engine.fields.file_model import FileModel
from engine.fields.values import Columns, Number
from engine.fields.wording import suggestion
from engine.kinds.base import KINDS, Kind, Mistakes, parameters_text
from engine.kinds.column_facts import ALL_COLUMNS
from engine.kinds.discover.axes import axis_of, dump_axes, load_axes, usual_columns
from engine.kinds.discover.lattice import (
    Axis,
    Lattice,
    LatticeLosses,
    LatticeView,
    LossTerms,
    PairedLatticeLosses,
)
from engine.kinds.discover.losses import ERROR_RATE, loss_family, usual_loss
from engine.kinds.discover.misfits import BASELINE, axes_misfits, column_misfits, loss_misfits
from engine.kinds.discover.outcome import Outcome, names_text, outcome
from engine.kinds.discover.search import Asked
from engine.kinds.discover.section import discover_section, finds_by_night
from engine.kinds.estimates import SliceEstimates
from engine.kinds.finds import Find
from engine.kinds.pictures import KindPicture
from engine.kinds.questions import figure
from engine.kinds.setting import ColumnValues, Context, Section, Setting
from engine.metrics import Metric, Problem, Slices
from engine.states import BUCKETS, Family, PairFamily, Sums

ALL, OVERALL, MAX_FINDS = "all", "overall", "max_finds"
WEAK_SLICES = "weak_slices"
HALVES = 2
# With less power a search that finds nothing has shown nothing.
LEAST_POWER = 0.5
_LOSS = "What a row loses, a metric that is a mean of it; default: the error."
_AGAINST = (
    "overall: where the model loses more than on all rows; baseline: where it loses more than the "
    "evaluation's baseline."
)
_GAP = "By how much more a slice may lose, in the loss's own unit; default: 0."


class FindsRule(LimitRule):
    """How many weak slices may be found; of none it says whether one would have been."""

    def decide_by_point(self, condition: Condition, measurement: Measurement) -> Decision:
        detail, numbers = measurement.value.detail or "", measurement.value.numbers or {}
        if measurement.number > condition.bound:
            return Decision(Verdict.FAIL, detail, numbers.get("p"))
        power = numbers.get("power")
        if power is not None and power < LEAST_POWER and not measurement.number:
            return inconclusive(detail, numbers.get("p"))
        return Decision(Verdict.PASS, detail, numbers.get("p"))


CONDITIONS.add(
    MAX_FINDS,
    FindsRule(
        MAX_FINDS,
        "How many weak slices may be found; default: 0.",
        least=False,
        field=Annotated[int, Field(strict=True, ge=0)],
    ),
)


class DiscoverKind(Kind):
    """How many slices that nobody listed a model is weak on, and which they are."""

    key = "discover"
    description = "Where a model is weak, or worse than the baseline, that no slice is listed for."
    conditions = (MAX_FINDS,)
    decides_by = DecideBy.POINT
    on_slices = False
    looks_back = True

    def keys(self) -> Mapping[str, Any]:
        columns = Field(ALL, description="all, a column or a list of columns; default: all.")
        listed: Any = (Literal["all"] | Columns, columns)
        depth = Field(2, description="How many columns a slice is cut by at most; default: 2.")
        share = Field(0.01, description="The least share of the rows a slice has; default: 0.01.")
        top = Field(10, description="How many slices are tested at most; default: 10.")
        file = create_model(
            "DiscoverFile",
            __base__=FileModel,
            __doc__="Which slices are looked at.",
            columns=listed,
            depth=(Annotated[int, Field(strict=True, ge=1, le=3)], depth),
            min_share=(Annotated[float, Field(strict=True, gt=0, le=0.5)], share),
            top=(Annotated[int, Field(strict=True, ge=1, le=100)], top),
        )
        return {
            self.key: (file, Field(description=self.description)),
            "metric": (str | None, Field(None, description=_LOSS)),
            "against": (Literal["overall", "baseline"], Field(OVERALL, description=_AGAINST)),
            "max_gap": (Annotated[Number, Field(ge=0)], Field(0.0, description=_GAP)),
        }

    def needs_baseline(self, test: Mapping[str, Any]) -> bool:
        return test.get("against") == BASELINE

    def mistakes(self, test: Mapping[str, Any]) -> Mistakes:
        if test.get("slices") not in (None, OVERALL, [OVERALL]):
            yield (
                ("slices",),
                f"found slices beside {self.key}, which looks for them itself; expected [overall]",
            )

    def read(self, file: Any, canonical: Callable[[str], str]) -> dict[str, Any]:
        asked = getattr(file, self.key)
        loss = None if file.metric is None else canonical(file.metric)
        parameters = {
            "columns": None if asked.columns == ALL else list(asked.columns),
            "depth": asked.depth,
            "min_share": asked.min_share,
            "top": asked.top,
            "against": file.against,
            "max_gap": file.max_gap,
            **({} if loss is None else {"loss": loss}),
        }
        return {"metric": WEAK_SLICES, "parameters": parameters_text(parameters)}

    def write(self, test: ModelTest) -> dict[str, Any]:
        own = json.loads(test.parameters)
        columns = own["columns"]
        return {
            self.key: {
                "columns": ALL if columns is None else columns,
                **{key: own[key] for key in ("depth", "min_share", "top")},
            },
            "metric": own.get("loss"),
            "against": own["against"],
            "max_gap": own["max_gap"],
        }

    def title(self, test: ModelTest) -> str:
        own = json.loads(test.parameters)
        among = ",".join(own["columns"] or [ALL])
        loss = f" {own['loss']}" if "loss" in own else ""
        beside = " against baseline" if own["against"] == BASELINE else ""
        return f"{self.key} {among}{loss}{beside}"

    def expand(self, test: ModelTest, setting: Setting) -> Sequence[ModelTest]:
        """The test with what it rests on: the columns, the loss, how rows come."""
        own, columns = json.loads(test.parameters), setting.columns
        about = {
            **own,
            "searched": usual_columns(setting) if own["columns"] is None else own["columns"],
            "loss": own.get("loss") or usual_loss(setting.problem.task),
            "parts": BUCKETS if columns.are_clustered else HALVES,
            "weighted": columns.weight is not None,
        }
        conditions = test.conditions or (Condition(MAX_FINDS, 0),)
        return [replace(test, parameters=parameters_text(about), conditions=conditions)]

    def misfits(self, test: ModelTest, setting: Setting) -> Iterator[str]:
        own = json.loads(test.parameters)
        task = setting.problem.task
        if usual_loss(task) is None:
            yield (
                f"{self.key} is of losses of rows by themselves; expected a binary, multiclass, "
                f"multilabel or regression task, found {task.value}"
            )
            return
        yield from loss_misfits(own["loss"], setting)
        yield from column_misfits(own, setting)
        if own["against"] == BASELINE and setting.baseline is None:
            names = [model.name for model in setting.models]
            yield (
                "against: baseline in an evaluation without a baseline; expected the key "
                f"'baseline' with {suggestion('', names)}"
            )
        if "axes" in own:
            yield from axes_misfits(own)

    def values(self, test: ModelTest) -> Sequence[str]:
        return json.loads(test.parameters)["columns"] or [ALL_COLUMNS]

    def pin_values(self, test: ModelTest, values: Mapping[str, ColumnValues]) -> ModelTest:
        own = json.loads(test.parameters)
        if "axes" in own:
            return test
        # Of a run that is judged again the axes are known themselves.
        axes = [axis for kept in values.get(_axes_key(own), ()) for axis in load_axes(kept)]
        for name in own["searched"] if not axes else ():
            axis = axis_of(name, values.get(name, ()), own["min_share"])
            axes += [] if axis is None else [axis]
        return replace(test, parameters=parameters_text({**own, "axes": dump_axes(axes)}))

    def known_values(self, test: ModelTest) -> Mapping[str, ColumnValues]:
        return {_axes_key(json.loads(test.parameters)): [dump_axes(_axes(test))]}

    def families(self, test: ModelTest, problem: Problem) -> Sequence[Family]:
        terms = _terms(test, problem)
        return [] if terms is None or _is_paired(test) else [LatticeLosses.of_terms(terms)]

    def pair_families(self, test: ModelTest, problem: Problem) -> Sequence[PairFamily]:
        terms = _terms(test, problem)
        return [PairedLatticeLosses.of_terms(terms)] if terms and _is_paired(test) else []

    def metric(self, test: ModelTest) -> Metric:
        counted = figure(
            WEAK_SLICES, higher_is_better=False, bounds=(0.0, float("inf")), any_rows=True
        )
        return replace(counted, against=_is_paired(test))

    def estimate(self, test: ModelTest, on: Slices, context: Context) -> SliceEstimates:
        if _is_paired(test) and context.is_baseline:
            return SliceEstimates.repeat_value(len(on), MetricValue(None, "is_baseline"))
        if _is_paired(test) and (on.baseline is None or not context.compares):
            reason = "the baseline failed, with which this one is compared"
            return SliceEstimates.repeat_failure(len(on), reason)
        if any(reason is not None for reason in on.reasons):
            return SliceEstimates.of_values([MetricValue(None, why) for why in on.reasons])
        own = json.loads(test.parameters)
        searched = self._outcome(test, on, context)
        if not math.isfinite(searched.loss):
            told = f"{own['loss']} of a row is not a finite number"
            return SliceEstimates.of_values([MetricValue(None, "nan_input", detail=told)])
        finds = searched.finds
        numbers = {"p": searched.p, "power": searched.power, "slices": float(searched.slices)}
        told = _none_text(searched, own)
        if finds:
            count = f"{len(finds)} weak slice{'' if len(finds) == 1 else 's'}"
            told = f"{count} among {searched.slices:,}: {names_text(finds)}"
        return SliceEstimates.of_values([MetricValue(len(finds), detail=told, numbers=numbers)])

    def finds(self, test: ModelTest, on: Slices, context: Context) -> Sequence[Find]:
        if _is_paired(test) and (context.is_baseline or on.baseline is None):
            return ()
        if not context.compares or any(reason is not None for reason in on.reasons):
            return ()
        return self._outcome(test, on, context).finds

    def _outcome(self, test: ModelTest, on: Slices, context: Context) -> Outcome:
        return on.once((self.key, test.name), lambda: _search(self, test, on, context))

    def cost(self, test: ModelTest, setting: Setting) -> str:
        lattice = _lattice(test)
        if lattice is None:
            return ""
        tables = len(lattice.tables)
        return (
            f"{lattice.size:,} cells in {tables:,} table{'' if tables == 1 else 's'} of columns, "
            "for each model"
        )

    def section(self, cells: Sequence[Cell]) -> Section | None:
        return discover_section(cells)

    def history(self, cells: Sequence[Cell], nights: Sequence[Night]) -> Sequence[KindPicture]:
        return finds_by_night(cells, nights)


def _search(kind: DiscoverKind, test: ModelTest, on: Slices, context: Context) -> Outcome:
    own, problem = json.loads(test.parameters), context.problem
    terms = _terms(test, problem)
    assert terms is not None, "its columns are known"
    asked_families = kind.pair_families if _is_paired(test) else kind.families
    states = on.families[asked_families(test, problem)[0].key]
    assert isinstance(states, Sums), "lattices are sums"
    view = LatticeView(terms.lattice, terms.read(states.values[on.first]))
    asked = Asked(
        own["min_share"],
        own["top"],
        own["max_gap"],
        context.level,
        paired=_is_paired(test),
        exact=own["loss"] == ERROR_RATE and not own["weighted"],
    )
    return outcome(view, asked, own["loss"])


def _none_text(searched: Outcome, own: Mapping[str, Any]) -> str:
    """What a search that found nothing has shown."""
    lost = "loses twice as much" if own["against"] == OVERALL else "doubles the loss"
    told = (
        f"none of {searched.slices:,} slices is weak; one of {own['min_share']:.3g} of the rows "
        f"that {lost} would be found in about {searched.power:.0%} of cases"
    )
    return told if searched.power >= LEAST_POWER else f"{told}: more rows or a greater min_share"


def _axes_key(own: Mapping[str, Any]) -> str:
    """The name, which no column has, under which the axes of an earlier plan are known."""
    return f"\0axes {json.dumps([own['searched'], own['min_share']])}"


def _is_paired(test: ModelTest) -> bool:
    return bool(json.loads(test.parameters)["against"] == BASELINE)


def _axes(test: ModelTest) -> tuple[Axis, ...]:
    return load_axes(json.loads(test.parameters).get("axes", ()))


def _lattice(test: ModelTest) -> Lattice | None:
    own = json.loads(test.parameters)
    return Lattice(_axes(test), own["depth"]) if "axes" in own else None


def _terms(test: ModelTest, problem: Problem) -> LossTerms | None:
    """What is kept of the lattice; None where its columns are not known yet."""
    lattice, own = _lattice(test), json.loads(test.parameters)
    if lattice is None or own.get("loss") is None:
        return None
    return LossTerms(lattice, loss_family(own["loss"], problem), own["parts"], own["weighted"])


KINDS.add("discover", DiscoverKind())
