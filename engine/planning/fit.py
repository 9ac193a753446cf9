"""Which tests make sense for the models, the task and the data at hand."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator

from engine.core.redaction import redacted_message
from engine.core.registry import did_you_mean
from engine.core.vocabulary import ModelTest
from engine.errors import InputError
from engine.kinds import (
    Contrast,
    Probe,
    Query,
    Setting,
    contrast_of,
    kind_of,
    loss_columns,
    probe_of,
    query_of,
    variants_of,
)
from engine.planning.plan import EvaluationPlan

# The types of columns that losses can read, as Spark writes them.
_PLAIN = frozenset(
    {"boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "decimal",
     "string", "varchar", "char", "date", "timestamp", "timestamp_ntz"}
)  # fmt: skip


def check_fit(plan: EvaluationPlan) -> None:
    """Refuses tests that make no sense for the models and the data at hand.

    Raises:
        InputError: when a metric needs scores of a model that gives labels only, names a class
            that does not exist, or has a margin of the wrong direction; all of these at once.
    """
    setting = plan.setting
    mistakes = [
        f"evaluation {plan.name!r}: test {test.name!r}: {text}"
        for test in plan.tests
        for text in _misfits(plan, test, setting)
    ]
    if mistakes:
        raise InputError("\n".join(mistakes))


def _misfits(plan: EvaluationPlan, test: ModelTest, setting: Setting) -> Iterator[str]:
    families = kind_of(test).column_families(test)
    yield from _missing_columns([family.column for family in families], setting)
    misfits = list(kind_of(test).misfits(test, setting))
    yield from misfits
    if not misfits:
        yield from _loss_misfits(test, setting)
    try:
        query, probe = query_of(test, setting), probe_of(test, setting)
        contrast = contrast_of(test, setting)
    except InputError as error:
        yield str(error)
        return
    if query is not None:
        yield from _query_misfits(query, test, setting)
    if contrast is not None:
        yield from _contrast_misfits(contrast, plan, test)
    if probe is not None:
        yield from _probe_misfits(probe, plan, test)
    behind = any(variant is not None for variant in variants_of(test))
    stored = [model.name for model in setting.models if model.is_stored]
    if stored and (probe is not None or behind):
        what = "tries a loaded model" if probe is not None else "changes a model's input"
        yield (
            f"it {what}, and {', '.join(map(repr, stored))} "
            f"{'is' if len(stored) == 1 else 'are'} predictions that the dataset has; leave "
            "them to another evaluation"
        )


def _missing_columns(columns: Iterable[str], setting: Setting) -> Iterator[str]:
    """The columns that a test asks for and that the dataset lacks."""
    for column in dict.fromkeys(columns):
        if column not in setting.types:
            hint = did_you_mean(column, setting.types)
            yield f"the dataset has no column {column!r}{hint}"


def _loss_misfits(test: ModelTest, setting: Setting) -> Iterator[str]:
    """The columns that the losses of a test need and that the dataset cannot give them."""
    sensitive, what = setting.columns.sensitive, f"{test.metric!r} needs the column"
    for column in loss_columns(test, setting.problem):
        kind = setting.types.get(column)
        if kind is None:
            hint = did_you_mean(column, setting.types)
            yield f"{what} {column!r} (its needs_columns), which the dataset lacks{hint}"
        elif column in sensitive:
            yield (
                f"{what} {column!r} (its needs_columns), which the suite calls sensitive: results "
                "would tell of its values; expected a column that is not"
            )
        elif not _is_plain(kind):
            yield (
                f"{what} {column!r} (its needs_columns), which is {kind}; expected numbers, "
                "truth values, text, dates or timestamps"
            )


def _is_plain(kind: str) -> bool:
    # `decimal(10,2)`, `string collate UTF8_LCASE`
    return kind.partition("(")[0].partition(" ")[0] in _PLAIN


def _query_misfits(query: Query, test: ModelTest, setting: Setting) -> Iterator[str]:
    mistake = query.mistake()
    if mistake is not None:
        yield mistake
        return
    yield from _missing_columns(query.columns, setting)
    if query.reads_reference and not kind_of(test).reads_reference:
        yield f"its query reads a reference, expected `reads_reference` in the kind {test.kind!r}"


def _probe_misfits(probe: Probe, plan: EvaluationPlan, test: ModelTest) -> Iterator[str]:
    mistake = probe.mistake()
    if mistake is not None:
        yield mistake
    yield from _unsent("probe", probe)
    yield from _on_all_rows("of a model on all rows", plan, test)


def _contrast_misfits(contrast: Contrast, plan: EvaluationPlan, test: ModelTest) -> Iterator[str]:
    mistake = contrast.mistake()
    if mistake is not None:
        yield mistake
        return
    yield from _missing_columns(contrast.columns, plan.setting)
    if not kind_of(test).reads_reference:
        yield f"it has a contrast, expected `reads_reference` in the kind {test.kind!r}"
    yield from _unsent("contrast", contrast)
    yield from _on_all_rows("of a sample of all rows", plan, test)


def _unsent(what: str, question: object) -> Iterator[str]:
    """Why a question cannot go to a worker."""
    try:
        pickle.dumps(question)
    except Exception as error:  # a user's class may raise anything
        told = redacted_message(error)
        yield f"its {what} cannot be sent to a worker: {told}; expected what can be pickled"


def _on_all_rows(what: str, plan: EvaluationPlan, test: ModelTest) -> Iterator[str]:
    """The slices of a test that can have none."""
    sets = plan.sets_by_name
    sliced = [name for name in test.slice_sets if sets[name].kind != "overall"]
    if sliced:
        named = ", ".join(map(repr, sliced))
        yield f"it is {what}, found the slices {named}, expected [overall]"
