"""What an evaluation asks beside its scan: queries and contrasts of its rows, probes of its models.

Each has a name that says all that its answer depends on but the dataset's version, as states have
(`engine.planning.needs`): so what one run asked another need not ask again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from engine._version import __version__
from engine.core.vocabulary import ModelTest, SliceSet
from engine.kinds import Contrast, Probe, Query, contrast_of, probe_of, query_of
from engine.planning.needs import name_of, subject_parts
from engine.planning.plan import EvaluationPlan
from engine.planning.subjects import Subject
from engine.states.rows import STATES_VERSION

# The subject's number, the slice set, and the question without them.
QuestionPlace = tuple[int, str, str]


Content = Query | Probe | Contrast


@dataclass(frozen=True, slots=True)
class Question:
    """A query on a slice set, a contrast of samples, or a probe of a model.

    Attributes:
        test: the first test that asks it.
        subject: the model that is tried, or the data.
        slice_set: the slices that it is asked on.
        content: what is asked.
        key: the content's name, which with the subject and the slice set tells it from others.
        name: a digest of all that the answer depends on but the dataset's version; None where that
            cannot be told or means nothing, so that no other run takes the answer.
    """

    test: ModelTest
    subject: Subject
    slice_set: SliceSet
    content: Content
    key: str
    name: str | None

    @property
    def place(self) -> QuestionPlace:
        """What tells it from the other questions of its evaluation."""
        return self.subject.number, self.slice_set.name, self.key


def questions(plan: EvaluationPlan) -> dict[str, tuple[Question, ...]]:
    """The questions of the tests that ask any, by the tests' names.

    Raises:
        InputError: when a kind fails to say what it asks.
    """
    by_test = {test.name: tuple(_of_test(plan, test)) for test in plan.tests}
    return {name: asked for name, asked in by_test.items() if asked}


def distinct_questions(plan: EvaluationPlan) -> tuple[Question, ...]:
    """All questions of a plan, each once."""
    every = (question for asked in questions(plan).values() for question in asked)
    by_place: dict[QuestionPlace, Question] = {}
    for question in every:
        by_place.setdefault(question.place, question)
    return tuple(by_place.values())


def _of_test(plan: EvaluationPlan, test: ModelTest) -> Iterator[Question]:
    setting = plan.setting
    content: Content | None = query_of(test, setting) or contrast_of(test, setting)
    content = content or probe_of(test, setting)
    if content is None:
        return
    sets = plan.sets_by_name
    for subject in plan.subjects:
        if plan.is_about(test, subject):
            for name in test.slice_sets:
                yield _question(plan, test, subject, sets[name], content)


def _question(
    plan: EvaluationPlan,
    test: ModelTest,
    subject: Subject,
    slice_set: SliceSet,
    content: Content,
) -> Question:
    types = dict(plan.dataset.schema)
    about: list[object] = [STATES_VERSION, plan.dataset.table_id or plan.dataset.uri]
    if isinstance(content, Query):
        columns = [[name, types.get(name)] for name in content.columns]
        functions = _functions_of(content)
        key = f"query {_digest(chr(0).join([content.text, *functions]))}"
        about += ["query", content.text, columns, slice_set.dimensions, slice_set.where]
        about += functions
        if content.reads_reference:
            about += _reference_parts(plan)
        return Question(test, subject, slice_set, content, key, name_of(about))
    module = type(content).__module__
    code = dict(plan.code).get(module, __version__)
    if isinstance(content, Contrast):
        columns = [[name, types.get(name)] for name in content.columns]
        own = f"{content.rows} {content.key} {_digest(repr(columns))}"
        key = f"contrast {module}.{type(content).__qualname__} {own}"
        about += ["contrast", key, code, columns, *_reference_parts(plan)]
        about += [plan.columns.key, plan.bucket_columns if plan.data_sampling.clustered else []]
        name = None if code is None else name_of(about)
        return Question(test, subject, slice_set, content, key, name)
    key = f"probe {module}.{type(content).__qualname__} {content.rows} {content.key}"
    about += ["probe", key, code, subject_parts(plan, subject)]
    about += [[[name, types.get(name)] for name in plan.row_columns]]
    if content.beside_baseline and subject.reference is not None:
        about.append(subject_parts(plan, plan.subjects[subject.reference]))
    known = content.keeps and code is not None
    return Question(test, subject, slice_set, content, key, name_of(about) if known else None)


def _functions_of(query: Query) -> list[str]:
    """What a query looks at by functions of its own, in texts."""
    mark, sketch = query.mark, query.sketch
    texts = [] if mark is None else [mark.column, mark.name]
    if sketch is not None:
        texts += [sketch.key, sketch.given, sketch.name, sketch.ddl]
    return texts


def _reference_parts(plan: EvaluationPlan) -> list[object]:
    """What an answer depends on that looks at the reference's rows."""
    if plan.reference is None:
        return []
    other = plan.reference.dataset
    return [other.table_id or other.uri, other.version]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
