"""What an evaluation needs to know: its states, each under a name that says what it was made of.

Two evaluations that need the same state of the same dataset version have the same name for it,
whatever they are called, whatever else they ask and whichever run they are part of. So a state is
computed once and found again.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from engine.core.vocabulary import ModelVersion, SliceSet, plain
from engine.planning.plan import EvaluationPlan
from engine.states import Family, PairFamily
from engine.states.rows import PREDICTIONS, ROWS, STATES_VERSION

_LIBRARIES = {"sklearn": "scikit-learn", "tensorflow": "tensorflow", "pytorch": "torch"}


@dataclass(frozen=True, slots=True)
class Need:
    """One state that an evaluation needs: of a model, on the slices of a set, of a family.

    `state` is its name, a digest of all that it depends on but the dataset's version; None where
    that cannot be told, so that it is computed anew each time. `paired` states are made of the
    baseline's predictions too.
    """

    model: int
    slice_set: str
    family: str
    state: str | None
    paired: bool = False

    @property
    def place(self) -> tuple[int, str, str]:
        """What tells it from the other needs of its evaluation."""
        return self.model, self.slice_set, self.family


def needs(plan: EvaluationPlan) -> tuple[Need, ...]:
    """All the states that an evaluation is measured from."""
    reading = _reading(plan)
    own = [_of_model(plan, model) for model in plan.models]
    base = None if plan.base is None else own[plan.base]
    all_needs: list[Need] = []
    if plan.keep:
        key = [*reading, plan.columns.key, PREDICTIONS]
        all_needs = [Need(n, "", PREDICTIONS, _name([*key, about])) for n, about in enumerate(own)]
    for slice_set in plan.scanned_sets:
        where = [slice_set.dimensions, slice_set.where]
        for number, model in enumerate(plan.models):
            about = [reading, where, own[number]]
            all_needs.append(Need(number, slice_set.name, ROWS, _name([*about, ROWS])))
            for family in families_of(plan, slice_set, model):
                paired = isinstance(family, PairFamily)
                beside = base if paired else None
                code = dict(plan.code).get(module_of(family), "")
                state = None if code is None else _name([*about, beside, family.key, code])
                all_needs.append(Need(number, slice_set.name, family.key, state, paired))
    return tuple(all_needs)


def families_of(
    plan: EvaluationPlan, slice_set: SliceSet, model: ModelVersion
) -> list[Family | PairFamily]:
    """The states to keep of a model on a slice set, its own and those beside the baseline."""
    own: list[Family | PairFamily] = list(plan.families(slice_set, model))
    return own + list(plan.pair_families(slice_set, model))


def module_of(family: Family | PairFamily) -> str:
    """The module in which what is special of a family was written."""
    function = getattr(family, "function", None)
    module = getattr(function, "__module__", None) or type(family).__module__
    return str(module)


def code_of(plan: EvaluationPlan) -> tuple[tuple[str, str | None], ...]:
    """The SHA-256 of each module of users' own that states of a plan are made by.

    None stands for one whose source cannot be read.
    """
    modules = {
        module_of(family)
        for slice_set in plan.scanned_sets
        for model in plan.models
        for family in families_of(plan, slice_set, model)
    }
    own = sorted(name for name in modules if name.split(".")[0] != "engine")
    return tuple((name, _source(name)) for name in own)


def _source(module: str) -> str | None:
    try:
        path = inspect.getsourcefile(sys.modules[module])
        return hashlib.sha256(Path(str(path)).read_bytes()).hexdigest()
    except (KeyError, TypeError, OSError):
        return None


def libraries(models: Iterable[ModelVersion]) -> tuple[tuple[str, str], ...]:
    """The versions of what the models predict with, by flavour: others may predict otherwise."""
    versions = {}
    for model in models:
        name = _LIBRARIES.get(model.flavor)
        if name is not None:
            try:
                versions[model.flavor] = version(name)
            except PackageNotFoundError:
                continue
    return tuple(sorted(versions.items()))


def _reading(plan: EvaluationPlan) -> list[object]:
    """What a row is taken for: its label, weight and bucket, and the classes."""
    columns, problem = plan.columns, plan.problem
    types = dict(plan.dataset.schema)
    bucket = plan.bucket_columns
    return [
        STATES_VERSION,
        plan.dataset.table_id or plan.dataset.uri,
        [columns.label, columns.weight, columns.query],
        [[name, types.get(name)] for name in bucket],
        [problem.task, problem.classes, problem.positive],
    ]


def _of_model(plan: EvaluationPlan, model: ModelVersion) -> list[object]:
    library = dict(plan.libraries).get(model.flavor)
    return [model.digest, model.output, model.classes, model.inputs, model.features, library]


def _name(about: Sequence[object]) -> str:
    text = json.dumps(plain(about), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
