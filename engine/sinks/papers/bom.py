"""A version as a CycloneDX ML-BOM: what it is, on what it was measured, and each figure.

CycloneDX 1.6 (ECMA-424): `modelCard.quantitativeAnalysis.performanceMetrics` has metrics of slices
with confidence intervals, as texts.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from engine._version import __version__
from engine.core.vocabulary import ColumnSpec, TaskKind, TensorSpec, Verdict
from engine.sinks.papers.facts import Cell, Facts, Judgement, cell_text, is_overall

MOST_FIGURES = 20_000
_SPACE = uuid.UUID("7f1d3c0e-52c1-5b0a-9b5e-0c7f3f0a6d55")
_TASKS = {
    TaskKind.BINARY: "tabular-classification",
    TaskKind.MULTICLASS: "tabular-classification",
    TaskKind.MULTILABEL: "tabular-classification",
    TaskKind.REGRESSION: "tabular-regression",
    TaskKind.RANKING: "ranking",
}


def task_name(task: TaskKind) -> str:
    """A task as model hubs call it."""
    return _TASKS[task]


def bill_of_materials(facts: Facts) -> dict[str, Any]:
    """The ML-BOM as JSON; the same run gives the same one."""
    ref = f"model:{facts.name}@{facts.version}"
    data = [_dataset(judgement) for judgement in facts.judgements]
    libraries = [_library(name, version) for name, version in sorted(facts.libraries.items())]
    parts = [*{item["bom-ref"]: item for item in data}.values(), *libraries]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, f'{facts.run_id} {ref} {facts.digest}')}",
        "version": 1,
        "metadata": {
            "timestamp": facts.finished_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {
                "components": [
                    {"type": "application", "name": "evalmatrix", "version": __version__}
                ]
            },
            "component": _model(facts, ref),
        },
        "components": parts,
        "dependencies": [{"ref": ref, "dependsOn": sorted(part["bom-ref"] for part in parts)}],
    }


def _model(facts: Facts, ref: str) -> dict[str, Any]:
    component = {
        "type": "machine-learning-model",
        "bom-ref": ref,
        "name": facts.name,
        "version": facts.version,
        "description": facts.origin.description,
        "hashes": [{"alg": "SHA-256", "content": facts.digest}],
        "modelCard": {
            "modelParameters": {
                "task": task_name(facts.task),
                "modelArchitecture": facts.model.flavor,
                "datasets": [{"ref": ref} for ref in sorted({*_dataset_refs(facts)})],
                "inputs": [{"format": _input_text(spec)} for spec in facts.model.inputs],
                "outputs": [{"format": facts.model.output.value}],
            },
            "quantitativeAnalysis": {"performanceMetrics": list(_figures(facts))},
            "considerations": _considerations(facts),
        },
        "properties": [
            {"name": f"evalmatrix:{name}", "value": value} for name, value in _properties(facts)
        ],
    }
    return {key: value for key, value in component.items() if value}


def _input_text(spec: ColumnSpec | TensorSpec) -> str:
    if isinstance(spec, ColumnSpec):
        return f"{spec.name}: {spec.type or 'any'}"
    shape = "x".join("n" if size < 0 else str(size) for size in spec.shape)
    return f"{spec.name or 'tensor'}: {spec.dtype} {shape}".rstrip()


def _dataset_refs(facts: Facts) -> Iterator[str]:
    for judgement in facts.judgements:
        yield _dataset_ref(judgement)


def _dataset_ref(judgement: Judgement) -> str:
    data = judgement.plan.dataset
    return f"data:{data.name}@{data.version}:{data.table_id}"


def _dataset(judgement: Judgement) -> dict[str, Any]:
    data = judgement.plan.dataset
    about = {"evalmatrix:delta.table_id": data.table_id, "evalmatrix:rows": str(data.rows)}
    return {
        "type": "data",
        "bom-ref": _dataset_ref(judgement),
        "name": data.name,
        "version": str(data.version),
        "data": [{"type": "dataset", "name": data.name}],
        "properties": [{"name": name, "value": value} for name, value in about.items()],
    }


def _library(name: str, version: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{name.lower().replace('_', '-')}@{version}"
    if name == "python":
        purl = f"pkg:generic/python@{version}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _figures(facts: Facts) -> Iterator[dict[str, Any]]:
    """Each figure, those of all rows first."""
    cells = [(judgement, cell) for judgement in facts.judgements for cell in judgement.figures]
    several = len(facts.judgements) > 1
    cells.sort(key=lambda pair: not is_overall(pair[1]))
    for judgement, cell in cells[:MOST_FIGURES]:
        name = f"{judgement.plan.name}: {cell_text(cell)}" if several else cell_text(cell)
        yield _figure(cell, name)


def _figure(cell: Cell, place: str) -> dict[str, Any]:
    figure: dict[str, Any] = {
        "type": str(cell["metric"]),
        "value": repr(float(cell["value"])),
        "slice": place,
    }
    ends = {"lowerBound": cell["ci_low"], "upperBound": cell["ci_high"]}
    interval = {name: repr(float(end)) for name, end in ends.items() if end is not None}
    return {**figure, "confidenceInterval": interval} if interval else figure


def _considerations(facts: Facts) -> dict[str, Any]:
    """What is known of its limits: what failed, and what could not be decided."""
    limits = [
        f"{cell['test']} on {cell_text(cell)}: {cell['reason']}"
        for judgement in facts.judgements
        for cell in judgement.with_verdict(Verdict.FAIL)
    ]
    undecided = sum(judgement.count(Verdict.INCONCLUSIVE) for judgement in facts.judgements)
    if undecided:
        limits.append(f"{undecided:,} cells could not be decided with the rows that there are")
    return {"technicalLimitations": limits} if limits else {}


def _properties(facts: Facts) -> Iterator[tuple[str, str]]:
    yield "run_id", facts.run_id
    yield "suite", facts.suite
    yield "gate", facts.gate
    yield "digest", "SHA-256 over the sorted names and digests of the version's files"
    figures = sum(len(judgement.figures) for judgement in facts.judgements)
    if figures > MOST_FIGURES:
        yield "figures.left_out", str(figures - MOST_FIGURES)
    yield from _counts(facts)


def _counts(facts: Facts) -> Iterator[tuple[str, str]]:
    for verdict in Verdict:
        count = sum(judgement.count(verdict) for judgement in facts.judgements)
        if count:
            yield f"cells.{verdict.value.lower()}", str(count)


def library_versions(versions: Mapping[str, str]) -> dict[str, str]:
    """The libraries that a run has noted, but for this one."""
    return {name: version for name, version in versions.items() if name != "evalmatrix"}
