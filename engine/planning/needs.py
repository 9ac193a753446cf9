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

from engine.core.vocabulary import ModelVersion, SliceSet, Variant, plain
from engine.kinds import contrast_of, probe_of
from engine.kinds.perturbations import PERTURBATIONS
from engine.planning.plan import AnyFamily, EvaluationPlan
from engine.planning.subjects import Subject
from engine.states import ColumnFamily, PairFamily
from engine.states.rows import PREDICTIONS, ROWS, STATES_VERSION

_LIBRARIES = {"sklearn": "scikit-learn", "tensorflow": "tensorflow", "pytorch": "torch"}


@dataclass(frozen=True, slots=True)
class Need:
    """One state that an evaluation needs: of a subject, on the slices of a set, of a family.

    `model` is the subject's number: those below the number of models are the models as they are.

    `state` is its name, a digest of all that it depends on but the dataset's version; None where
    that cannot be told, so that it is computed anew each time. `paired` states are made of the
    baseline's predictions too. Of what is `spare`, cells can be made without.
    """

    model: int
    slice_set: str
    family: str
    state: str | None
    paired: bool = False
    spare: bool = False

    @property
    def place(self) -> tuple[int, str, str]:
        """What tells it from the other needs of its evaluation."""
        return self.model, self.slice_set, self.family


def needs(plan: EvaluationPlan) -> tuple[Need, ...]:
    """All the states that an evaluation is measured from."""
    reading = _reading(plan)
    subjects = plan.subjects
    own = [subject_parts(plan, subject) for subject in subjects]
    all_needs: list[Need] = []
    if plan.keep:
        key = [*reading, plan.columns.key, PREDICTIONS]
        all_needs = [
            Need(n, "", PREDICTIONS, name_of([*key, own[n]])) for n in range(len(plan.models))
        ]
    code = dict(plan.code)
    for slice_set in plan.scanned_sets:
        where = [slice_set.dimensions, slice_set.where]
        for subject, its_own in zip(subjects, own, strict=True):
            families = families_of(plan, slice_set, subject)
            if not families and not (subject.is_clean and plan.tests_models):
                continue
            about = [reading, where, its_own]
            place = subject.number, slice_set.name
            rows_name = None if _is_unreadable(plan, subject) else name_of([*about, ROWS])
            all_needs.append(Need(*place, ROWS, rows_name))
            for family in families:
                paired = isinstance(family, PairFamily)
                spare = isinstance(family, PairFamily) and family.spare
                beside = None
                if paired:
                    assert subject.reference is not None, "a pair is of two"
                    beside = own[subject.reference]
                digest = code.get(module_of(family), "")
                unknown = digest is None or _is_unreadable(plan, subject)
                made_of = [*about, beside, family.key, digest, *_column_types(plan, family)]
                state = None if unknown else name_of(made_of)
                all_needs.append(Need(*place, family.key, state, paired, spare))
    return tuple(all_needs)


def _column_types(plan: EvaluationPlan, family: AnyFamily | PairFamily) -> list[object]:
    """The types of the columns that losses read besides; nothing for others."""
    types = dict(plan.dataset.schema)
    columns = () if isinstance(family, ColumnFamily) else family.columns
    return [[[name, types.get(name)] for name in columns]] if columns else []


def families_of(
    plan: EvaluationPlan, slice_set: SliceSet, subject: Subject
) -> list[AnyFamily | PairFamily]:
    """The states to keep of a subject on a slice set, its own and those beside its reference."""
    own: list[AnyFamily | PairFamily] = list(plan.families(slice_set, subject))
    return own + list(plan.pair_families(slice_set, subject))


def module_of(family: AnyFamily | PairFamily) -> str:
    """The module in which what is special of a family was written."""
    function = getattr(family, "function", None)
    module = getattr(function, "__module__", None) or type(family).__module__
    return str(module)


def code_of(plan: EvaluationPlan) -> tuple[tuple[str, str | None], ...]:
    """The SHA-256 of each module of users' own that states or answers of a plan are made by.

    None stands for one whose source cannot be read.
    """
    modules = {
        module_of(family)
        for slice_set in plan.scanned_sets
        for subject in plan.subjects
        for family in families_of(plan, slice_set, subject)
    }
    done = (variant for variant in plan.variants if not variant.members)
    modules |= {perturbation_module(variant) for variant in done}
    for ask in (probe_of, contrast_of):
        asked = (ask(test, plan.setting) for test in plan.tests)
        modules |= {type(question).__module__ for question in asked if question is not None}
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


def subject_parts(plan: EvaluationPlan, subject: Subject) -> list[object]:
    """What a subject's predictions depend on: a model as it is has the name that it always had."""
    model = subject.model
    if model is None:
        return ["data"]
    library = dict(plan.libraries).get(model.flavor)
    reading = model.reading
    own: list[object] = [*reading[:5], library, *reading[5:]]
    variant = subject.variant
    if variant is None:
        return own
    key = [] if plan.columns.key else plan.dataset.schema
    parts = [_variant_parts(plan, member) for member in variant.members]
    known = [variant.perturbation, parts] if parts else _variant_parts(plan, variant)
    return [*own, *known, plan.columns.key, key]


def _variant_parts(plan: EvaluationPlan, variant: Variant) -> list[object]:
    code = dict(plan.code).get(perturbation_module(variant), "")
    return [variant.perturbation, variant.parameters, code]


def _is_unreadable(plan: EvaluationPlan, subject: Subject) -> bool:
    """Whether a subject is behind a perturbation whose code cannot be read."""
    if subject.variant is None:
        return False
    code = dict(plan.code)
    made_by = map(perturbation_module, subject.variant.members or (subject.variant,))
    return any(code.get(module, "") is None for module in made_by)


def perturbation_module(variant: Variant) -> str:
    """The module in which a variant's perturbation was written."""
    return type(PERTURBATIONS.get(variant.perturbation)).__module__


def name_of(about: Sequence[object]) -> str:
    """The name of what is made of all this."""
    text = json.dumps(plain(about), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
