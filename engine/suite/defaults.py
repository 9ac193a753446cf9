"""A valid suite file as the typed nouns, with the defaults that depend on other keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from engine.conditions import CONDITIONS
from engine.core.vocabulary import ANY_MODEL, Dimension, ModelTest, Output, Trust
from engine.fields.column_types import NullTexts
from engine.kinds import KINDS, KindFile, kind_of
from engine.suite.default_names import (
    OVERALL,
    default_test_names,
    last_part,
    model_name,
    short_name,
    slice_set_name,
)
from engine.suite.endpoint_schema import endpoint_of
from engine.suite.model_schema import ModelFile, OutputFile
from engine.suite.schema import DatasetFile, EvaluationFile, SliceFile, SuiteFile, TrustFile
from engine.suite.suite import (
    DatasetSource,
    Evaluation,
    FalseAlarms,
    GateConfig,
    MlflowConfig,
    ModelSource,
    PredictionsSource,
    PromoteConfig,
    SliceRule,
    Suite,
)


def resolve(file: SuiteFile, metric: Callable[[str], str]) -> Suite:
    """Makes the suite; `metric` gives a metric's own name for an alias."""
    return Suite(
        name=file.name,
        evaluations=tuple(_evaluation(item, file, metric) for item in file.evaluations),
        store=file.store,
        mlflow=MlflowConfig(file.mlflow.tracking_uri, file.mlflow.max_slice_metrics),
        gate=GateConfig(file.gate.on_inconclusive, file.gate.on_error),
        confidence=file.confidence,
        decide=file.decide,
        false_alarms=FalseAlarms(file.false_alarms.within, file.false_alarms.over_runs),
        plugins=tuple(file.plugins),
        reuse=file.reuse,
        executor=file.executor,
        checkpoint_rows=file.checkpoint_rows,
        trust=_trust(file.trust),
        notify=tuple(entry.config() for entry in file.notify),
        promote=None if file.promote is None else PromoteConfig(**file.promote.model_dump()),
        telemetry=None if file.telemetry is None else file.telemetry.config(),
        retention=None if file.retention is None else file.retention.config(),
    )


def _trust(file: TrustFile | None) -> Trust:
    if file is None:
        return ANY_MODEL
    return Trust(tuple(file.formats or ()), file.signed_by, tuple(file.registries or ()))


def _evaluation(file: EvaluationFile, suite: SuiteFile, metric: Callable[[str], str]) -> Evaluation:
    slices = tuple(_slice_rule(item) for item in file.slices)
    if not any(rule.kind == OVERALL for rule in slices):
        slices = (SliceRule(OVERALL, OVERALL), *slices)
    return Evaluation(
        name=file.name,
        dataset=_dataset(file.dataset, file.name),
        models=tuple(_model(item) for item in file.models),
        slices=slices,
        tests=tuple(
            replace(test, decide=own.decide or kind_of(test).decides_by or suite.decide)
            for test, own in zip(
                _tests(file.tests, metric, tuple(rule.name for rule in slices)),
                file.tests,
                strict=True,
            )
        ),
        baseline=file.baseline,
        min_slice_rows=file.min_slice_rows,
        max_slices=file.max_slices,
        costs=tuple(tuple(row) for row in file.costs or ()),
        predictions=file.predictions,
        timeout=file.timeout,
        memory=file.memory,
        reference=_reference(file),
    )


def _model(file: ModelFile) -> ModelSource:
    # A word stays one, whatever the field is said to hold.
    output: Output | OutputFile | None = file.output
    classes = tuple(file.classes or ())
    endpoint = endpoint_of(file)
    if endpoint is not None:
        assert file.name is not None, "it was checked"
        own = ModelSource(file.name, classes=classes, endpoint=endpoint, like=file.like)
        if isinstance(output, OutputFile):
            return replace(own, scores=tuple(output.scores or ()), label=output.label)
        return replace(own, output=output)
    if file.uri is None:
        kind = output if isinstance(output, Output) else None
        assert file.name is not None, "it was checked"
        table = None
        if (given := file.predictions) is not None:
            table = PredictionsSource(given.delta, tuple(given.key), given.version)
        columns = given or file
        scores = tuple(columns.scores or ())
        return ModelSource(file.name, "", kind, scores, columns.predicted, classes, table)
    name = file.name or model_name(file.uri)
    if isinstance(output, OutputFile):
        scores = tuple(output.scores or ())
        return ModelSource(name, file.uri, None, scores, output.label, classes)
    return ModelSource(name, file.uri, output, classes=classes)


def _dataset(file: DatasetFile, evaluation: str) -> DatasetSource:
    kind, uri = file.place
    return DatasetSource(
        format=kind,
        uri=uri,
        name=file.name or (last_part(uri) if kind == "delta" else evaluation),
        task=file.task,
        label=file.label,
        version=file.version,
        positive_label=file.positive_label,
        classes=tuple(file.classes or ()),
        features=None if file.features is None else tuple(file.features),
        key=tuple(file.key or ()),
        cluster=file.cluster,
        query=file.query,
        weight=file.weight,
        sensitive=tuple(file.sensitive or ()),
        public=tuple(file.public or ()),
        columns=tuple((file.columns or {}).items()),
        null_values=_null_values(file.null_values),
    )


def _null_values(given: NullTexts | None) -> tuple[tuple[str | None, str], ...]:
    if isinstance(given, dict):
        return tuple((name, text) for name, texts in given.items() for text in texts)
    return tuple((None, text) for text in given or ())


def _reference(file: EvaluationFile) -> DatasetSource | None:
    """The reference with the columns of the dataset, and what they mean."""
    reference = file.reference
    if reference is None:
        return None
    dataset = _dataset(file.dataset, file.name)
    kind, uri = reference.place
    derived = last_part(uri) if kind == "delta" else f"{file.name} reference"
    name = reference.name or short_name(derived)
    own = replace(dataset, format=kind, uri=uri, name=name, version=reference.version)
    if kind != "csv":
        return replace(own, columns=(), null_values=())
    if reference.columns is not None:
        own = replace(own, columns=tuple(reference.columns.items()))
    if reference.null_values is not None:
        own = replace(own, null_values=_null_values(reference.null_values))
    return own


def _slice_rule(file: SliceFile) -> SliceRule:
    bins, quantiles = file.bins or {}, file.quantiles or {}
    dimensions = (
        *(Dimension(column) for column in file.by or ()),
        *(Dimension(column, tuple(edges)) for column, edges in bins.items()),
        *(Dimension(column) for column in quantiles),
    )
    name = file.name or slice_set_name([item.column for item in dimensions], file.where)
    given = {"quantiles": quantiles, "bins": bins, "by": file.by, "where": file.where}
    kind = next((kind for kind, rule in given.items() if rule), OVERALL)
    return SliceRule(name, kind, dimensions, file.where, tuple(quantiles.items()))


def _tests(
    files: list[KindFile], metric: Callable[[str], str], all_slices: tuple[str, ...]
) -> tuple[ModelTest, ...]:
    tests = [_test(file, metric, all_slices) for file in files]
    names = default_test_names(
        (file.name, test.name, [condition.kind for condition in test.conditions])
        for file, test in zip(files, tests, strict=True)
    )
    return tuple(replace(test, name=name) for test, name in zip(tests, names, strict=True))


def _test(file: KindFile, metric: Callable[[str], str], all_slices: tuple[str, ...]) -> ModelTest:
    """The test under the title that its kind gives it."""
    kind = KINDS.get(file.kind)
    values = ((CONDITIONS.get(name), getattr(file, name)) for name in kind.conditions)
    conditions = (rule.read(value) for rule, value in values)
    usual_slices = all_slices if kind.is_on_slices(file) else (OVERALL,)
    test = ModelTest(
        name="",
        conditions=tuple(condition for condition in conditions if condition is not None),
        slice_sets=usual_slices if file.slices is None else tuple(file.slices),
        severity=file.severity,
        corrected=file.corrected,
        kind=kind.key,
        **kind.read(file, metric),
    )
    return replace(test, name=short_name(kind.title(test)))
