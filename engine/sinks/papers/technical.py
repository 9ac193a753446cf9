"""A technical file: what was tested on which data, by whom, with what result, over time.

In the order of Annex IV of the EU's AI Act (Regulation 2024/1689), as far as an evaluation knows
about it: what it does not know is said to be missing, so that somebody writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.conditions import demand_text
from engine.core.vocabulary import Verdict
from engine.sinks import format as fmt
from engine.sinks.papers.card import dataset_sentence
from engine.sinks.papers.facts import Facts, Judgement, cell_text
from engine.sinks.papers.markdown import Raw, plain, table

MOST_CELLS = 1_000


def technical_file(facts: Facts) -> str:
    """The file as Markdown."""
    parts = [
        f"# Technical file: {plain(facts.title)}",
        f"Written from the run {plain(facts.run_id)}, which finished on "
        f"{plain(fmt.moment(facts.finished_at))}. Numbers in brackets are points of Annex IV of "
        "Regulation (EU) 2024/1689. This file has what the evaluation knows; what it cannot know "
        "is listed at the end.",
        "## 1. The system (1)",
        table(["what", "value"], list(_system(facts))),
        "## 2. How it was made (2a, 2b)",
        *_origin_rows(facts),
        "## 3. The data it was tested on (2d)",
        *(part for judgement in facts.judgements for part in _data(judgement)),
        "## 4. How it was tested (2g)",
        *(part for judgement in facts.judgements for part in _tests(judgement)),
        "## 5. What came of it (2g, 3, 4)",
        *(part for judgement in facts.judgements for part in _results(judgement)),
        "## 6. What happened to it over time (6)",
        *_events(facts),
        "## 7. By what it was tested",
        table(["library", "version"], sorted(facts.libraries.items())),
        "The suite, as it was read:",
        f"~~~~yaml\n{facts.suite_text.replace('~~~~', '~ ~ ~ ~').rstrip()}\n~~~~",
        "## 8. What is not in this file",
        "\n".join(f"- {point}" for point in _MISSING),
    ]
    return "\n\n".join(parts) + "\n"


_MISSING = (
    "the intended purpose, the provider, how it is put on the market or into service (1a to 1h)",
    "where the training data come from, how they were chosen, labelled and cleaned (2d)",
    "human oversight (2e) and measures of cybersecurity (2h)",
    "the risk management system (5), harmonised standards (7), the declaration of conformity (8), "
    "the plan of post-market monitoring (9)",
)


def _system(facts: Facts) -> Iterator[tuple[str, Any]]:
    model = facts.model
    yield "name", facts.name
    yield "version", facts.version
    yield "aliases", ", ".join(facts.aliases) or fmt.DASH
    yield "SHA-256 of its files", facts.digest
    yield "formats of its files", ", ".join(model.credentials.formats) or fmt.DASH
    yield "framework", model.flavor
    yield "task", facts.task.value
    yield "takes", ", ".join(model.features)
    yield "gives", model.output.value
    yield "described as", facts.origin.description or "nobody has described it"


def _origin_rows(facts: Facts) -> Iterator[str]:
    origin = facts.origin
    rows: list[tuple[str, Any]] = []
    if origin.registered_at is not None:
        rows.append(("registered", fmt.moment(origin.registered_at)))
    rows += [
        (what, value)
        for what, value in (
            ("registered by", origin.registered_by),
            ("training run", origin.training_run),
            ("commit of the code", origin.commit),
        )
        if value
    ]
    rows += [(f"parameter {name}", value) for name, value in sorted(origin.params.items())]
    yield table(["what", "value"], rows) if rows else "The registry does not tell."


def _data(judgement: Judgement) -> Iterator[str]:
    data = judgement.plan.dataset
    yield f"### {plain(judgement.plan.name)}"
    yield dataset_sentence(judgement)
    rows = [("table", data.uri), ("its id", data.table_id), ("version", data.version)]
    if data.timestamp is not None:
        rows.append(("written", fmt.moment(data.timestamp)))
    yield table(["what", "value"], rows)
    if data.schema:
        yield table(["column", "type"], data.schema)


def _tests(judgement: Judgement) -> Iterator[str]:
    yield f"### {plain(judgement.plan.name)}"
    plan = judgement.plan
    rows = [
        (test.name, test.kind, demand_text(test) or "recorded only", test.severity.value,
         ", ".join(test.slice_sets) or fmt.DASH)
        for test in plan.tests
    ]  # fmt: skip
    yield table(["test", "kind", "demands", "severity", "on the slices"], rows)
    baseline = plan.baseline or "none"
    yield (
        f"Intervals are at {100 * plan.confidence:g} %, corrected over slices by "
        f"{plain(plan.correction.value)}; slices of fewer than {plan.min_slice_rows:,} rows are "
        f"not judged; the baseline is {plain(baseline)}."
    )


def _results(judgement: Judgement) -> Iterator[str]:
    yield f"### {plain(judgement.plan.name)}: {plain(judgement.gate)}"
    counts = [(verdict.value, f"{judgement.count(verdict):,}") for verdict in Verdict]
    yield f"{plain(judgement.reason)}."
    yield table(["verdict", "cells"], counts)
    cells = sorted(judgement.cells, key=lambda cell: _GRAVITY.get(cell["verdict"], 9))
    rows = [
        [cell["test"], cell_text(cell), f"{cell['n']:,}" if cell["n"] is not None else fmt.DASH,
         fmt.estimate(cell["value"], cell["ci_low"], cell["ci_high"]),
         cell["condition"] or fmt.DASH, Raw(f"**{plain(cell['verdict'])}**")]
        for cell in cells[:MOST_CELLS]
    ]  # fmt: skip
    yield table(["test", "slice", "rows", "value", "demanded", "verdict"], rows)
    if len(cells) > MOST_CELLS:
        yield (
            f"These are the gravest {MOST_CELLS:,} of {len(cells):,} cells; all of them are in the "
            "results of the run."
        )


_GRAVITY = {
    Verdict.ERROR: 0,
    Verdict.FAIL: 1,
    Verdict.INCONCLUSIVE: 2,
    Verdict.PASS: 3,
    Verdict.RECORDED: 4,
}


def _events(facts: Facts) -> Iterator[str]:
    if not facts.events:
        yield "The store and the registry know of nothing else."
        return
    rows = [
        (fmt.moment(when), what, text, who or fmt.DASH) for when, what, text, who in facts.events
    ]
    yield table(["when", "what", "which", "who"], rows)
