"""A resolved suite as YAML again, and the JSON Schema of the file."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import yaml

from engine.conditions import rule
from engine.core.vocabulary import DecideBy, ModelTest, Trust
from engine.fields.file_model import FileModel
from engine.kinds import kind_of
from engine.suite.endpoint_schema import endpoint_keys
from engine.suite.load import plain_data
from engine.suite.schema import DatasetFile, EvaluationFile, SuiteFile, suite_file
from engine.suite.suite import (
    DatasetSource,
    Evaluation,
    ModelSource,
    NoticeConfig,
    SliceRule,
    Suite,
)
from engine.suite.yaml_document import SuiteDumper, SuiteLoader


def dump_suite(suite: Suite) -> str:
    """Writes a suite as YAML with every default in it; it loads again to an equal suite."""
    return dump_mapping(_mapping(suite))


def _mapping(suite: Suite) -> dict[str, Any]:
    """What stands in the file of a suite with every default in it."""
    data: dict[str, Any] = {
        "name": suite.name,
        "store": suite.store,
        "mlflow": _drop_unset(
            tracking_uri=suite.mlflow.tracking_uri,
            max_slice_metrics=suite.mlflow.max_slice_metrics,
        ),
        "confidence": suite.confidence,
        "decide": suite.decide.value,
        "false_alarms": {
            "within": suite.false_alarms.within.value,
            "over_runs": suite.false_alarms.over_runs.value,
        },
        "plugins": list(suite.plugins),
        "reuse": suite.reuse,
        **({} if suite.executor == "auto" else {"executor": suite.executor}),
        "checkpoint_rows": suite.checkpoint_rows,
        **_trust(suite.trust),
        "evaluations": [_evaluation(item, suite.decide) for item in suite.evaluations],
        "gate": {
            "on_inconclusive": suite.gate.on_inconclusive.value,
            "on_error": suite.gate.on_error.value,
        },
    }
    if suite.promote is not None:
        data["promote"] = asdict(suite.promote)
    if suite.notify:
        data["notify"] = [_notice(entry) for entry in suite.notify]
    if suite.telemetry is not None:
        data["telemetry"] = _drop_unset(**asdict(suite.telemetry))
    if suite.retention is not None:
        data["retention"] = _drop_unset(**asdict(suite.retention))
    return data


def dump_mapping(suite: Mapping[str, Any]) -> str:
    """Writes what stands in a suite file as it is."""
    text: str = yaml.dump(
        plain_data(suite), Dumper=SuiteDumper, allow_unicode=True, sort_keys=False, width=100
    )
    return text


def argument_keys() -> tuple[set[str], set[str], set[str]]:
    """The keys of a dataset, of an evaluation and of a suite, in a suite file."""
    files: tuple[type[FileModel], ...] = (DatasetFile, EvaluationFile, SuiteFile)
    of_dataset, of_evaluation, of_suite = (set(file.model_fields) for file in files)
    return of_dataset, of_evaluation, of_suite


def are_same(one: str, other: str) -> bool:
    """Whether two texts that `dump_suite` wrote say the same, in any order of their keys."""
    return bool(yaml.load(one, SuiteLoader) == yaml.load(other, SuiteLoader))


def demands(suite: Suite) -> dict[str, str]:
    """What a suite's verdicts rest on, by its place: the digests of two suites tell a difference.

    Left out is what may differ between two runs that judge alike: where they write, what they keep
    and spare, which models they are about, and the version of the data, which is looked at apart.
    """
    data = _mapping(suite)
    parts = {name: data[name] for name in _DEMANDS if name in data}
    for evaluation in data["evaluations"]:
        about = {key: value for key, value in evaluation.items() if key not in _NO_DEMANDS}
        about["dataset"] = {
            key: value for key, value in about["dataset"].items() if key not in _NO_ROWS
        }
        for key, value in about.items():
            parts[f"evaluations.{evaluation['name']}.{key}"] = value
    return {
        place: json.dumps(plain_data(part), sort_keys=True, default=str)
        for place, part in parts.items()
    }


# A suite that trusts all models has no key `trust`.
_DEMANDS = ("confidence", "decide", "false_alarms", "plugins", "trust", "gate")
_NO_DEMANDS = ("models", "baseline", "predictions", "timeout", "memory", "max_slices")

_NO_ROWS = ("version", "public")


def demands_digest(suite: Suite) -> str:
    """SHA-256 of what a suite's verdicts rest on, see `demands`."""
    return hashlib.sha256(json.dumps(demands(suite), sort_keys=True).encode()).hexdigest()


def schema() -> dict[str, Any]:
    """Gives the JSON Schema (draft 2020-12) of the suite file, for editors and validators.

    It knows types, keys and ranges; what names refer to is checked by `load_suite` alone.
    """
    json_schema = suite_file().model_json_schema(mode="validation")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **json_schema}


def _drop_unset(**keys: Any) -> dict[str, Any]:
    """Leaves out the keys that were not given."""
    return {key: value for key, value in keys.items() if value is not None and value != []}


def _notice(entry: NoticeConfig) -> dict[str, Any]:
    data = _drop_unset(**asdict(entry))
    if entry.mail is not None:
        data["mail"] = _drop_unset(**asdict(entry.mail))
    return data


def _trust(trust: Trust) -> dict[str, Any]:
    """Nothing where it asks for nothing: so are the suites of stores of before."""
    formats = [kind.value for kind in trust.formats]
    keys = _drop_unset(
        formats=formats, signed_by=trust.signed_by, registries=list(trust.registries)
    )
    return {"trust": keys} if keys else {}


def _evaluation(item: Evaluation, decide: DecideBy) -> dict[str, Any]:
    return _drop_unset(
        name=item.name,
        dataset=_dataset(item.dataset),
        models=[_model(model) for model in item.models],
        reference=None if item.reference is None else _source(item.reference),
        baseline=item.baseline,
        costs=[list(row) for row in item.costs],
        slices=[_slices(rule) for rule in item.slices],
        min_slice_rows=item.min_slice_rows,
        max_slices=item.max_slices,
        predictions=item.predictions.value,
        timeout=item.timeout,
        memory=item.memory,
        tests=[_test(test, decide) for test in item.tests],
    )


def _model(model: ModelSource) -> dict[str, Any]:
    classes = list(model.classes)
    if model.endpoint is not None:
        asked = endpoint_keys(model.endpoint, model.like)
        return _drop_unset(name=model.name, **asked, classes=classes, output=_output(model))
    if model.uri:
        returned = _output(model)
        return _drop_unset(uri=model.uri, name=model.name, classes=classes, output=returned)
    output = None if model.output is None else model.output.value
    columns = _drop_unset(scores=list(model.scores), predicted=model.label)
    if (table := model.table) is not None:
        place = {"delta": table.uri, "version": _version(table.version), "key": list(table.key)}
        columns = {"predictions": {**place, **columns}}
    return _drop_unset(name=model.name, **columns, classes=classes, output=output)


def _output(model: ModelSource) -> str | dict[str, Any] | None:
    if model.scores or model.label is not None:
        return _drop_unset(label=model.label, scores=list(model.scores))
    return None if model.output is None else model.output.value


def _version(version: str | int | dt.datetime) -> str | int:
    return version.isoformat() if isinstance(version, dt.datetime) else version


def _source(item: DatasetSource) -> dict[str, Any]:
    return _drop_unset(
        **{item.format: item.uri},
        name=item.name,
        version=_version(item.version),
        columns=dict(item.columns) or None,
        null_values=_null_values(item),
    )


def _null_values(item: DatasetSource) -> list[str] | dict[str, list[str]] | None:
    by_column: dict[str, list[str]] = {}
    for name, text in item.null_values:
        if name is not None:
            by_column.setdefault(name, []).append(text)
    return by_column or [text for _, text in item.null_values] or None


def _dataset(item: DatasetSource) -> dict[str, Any]:
    return _drop_unset(
        **_source(item),
        task=item.task.value,
        label=item.label,
        positive_label=item.positive_label,
        classes=list(item.classes),
        features=None if item.features is None else list(item.features),
        key=list(item.key),
        cluster=item.cluster,
        query=item.query,
        weight=item.weight,
        sensitive=list(item.sensitive),
        public=list(item.public),
    )


def _slices(rule: SliceRule) -> str | dict[str, Any]:
    if rule.kind == "overall":
        return "overall"
    quantiles = dict(rule.quantiles)
    bins = {item.column: list(item.edges) for item in rule.dimensions if item.edges is not None}
    return _drop_unset(
        name=rule.name,
        where=rule.where,
        by=[
            item.column
            for item in rule.dimensions
            if item.edges is None and item.column not in quantiles
        ],
        bins=bins or None,
        quantiles=quantiles or None,
    )


def _test(test: ModelTest, decide: DecideBy) -> dict[str, Any]:
    return _drop_unset(
        name=test.name,
        **kind_of(test).write(test),
        **{condition.kind: rule(condition).write(condition) for condition in test.conditions},
        slices=list(test.slice_sets),
        severity=test.severity.value,
        # The suite's own way is said once, so that it can be changed in one place.
        decide=None if test.decide is (kind_of(test).decides_by or decide) else test.decide.value,
        corrected=test.corrected,
    )
