"""A model card: what a version is, how well it does, on whom it does worse, what nobody tested.

After Mitchell et al., "Model Cards for Model Reporting" (2019), with the metadata by which the
Hugging Face Hub reads a card (`model-index`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from engine.core.vocabulary import ModelTest, Verdict
from engine.errors import InputError
from engine.kinds import kind_of
from engine.sinks import format as fmt
from engine.sinks.papers.bom import task_name
from engine.sinks.papers.facts import OVERALL, Cell, Facts, Judgement, cell_text, is_clean
from engine.sinks.papers.markdown import plain, table

MOST_SLICES = 10
MOST_CELLS = 20


def model_card(facts: Facts) -> str:
    """The card as Markdown, with front matter."""
    parts = [
        f"---\n{_front_matter(facts)}---",
        f"# {plain(facts.name)}, version {plain(facts.version)}",
        _verdict(facts),
        *_description(facts),
        "## The model",
        table(["what", "value"], list(_about(facts))),
        "## How well it does",
        *(part for judgement in facts.judgements for part in _evaluation_part(judgement)),
        "## What it does not do, as far as is known",
        *_limits(facts),
        "## How this was found",
        _provenance(facts),
    ]
    return "\n\n".join(parts) + "\n"


def _front_matter(facts: Facts) -> str:
    """The metadata of the Hub: figures on all rows, by dataset."""
    results = [
        {
            "task": {"type": task_name(facts.task)},
            "dataset": {
                "name": judgement.plan.dataset.name,
                "type": judgement.plan.dataset.name,
                "revision": str(judgement.plan.dataset.version),
            },
            "metrics": [
                {"type": cell["metric"], "value": float(cell["value"]), "name": cell["test"]}
                for cell in judgement.metrics
            ],
        }
        for judgement in facts.judgements
        if judgement.metrics
    ]
    metrics = {cell["metric"] for judgement in facts.judgements for cell in judgement.metrics}
    data = {
        "library_name": _LIBRARIES.get(facts.model.flavor, facts.model.flavor),
        "pipeline_tag": task_name(facts.task),
        "tags": ["evalmatrix", f"gate-{facts.gate}"],
        "datasets": sorted({judgement.plan.dataset.name for judgement in facts.judgements}),
        "metrics": sorted(metrics),
        "model-index": [{"name": facts.name, "results": results}],
    }
    text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100)
    return text


_LIBRARIES = {"tensorflow": "keras", "pytorch": "pytorch", "sklearn": "sklearn"}


def _verdict(facts: Facts) -> str:
    words = {
        "passed": "It passed its evaluation",
        "failed": "It **failed** its evaluation",
        "error": "It **could not be evaluated** as a whole",
    }
    when = fmt.moment(facts.finished_at)
    aliases = ", ".join(plain(alias) for alias in facts.aliases)
    serving = f" The registry calls it {aliases}." if aliases else ""
    return f"{words[facts.gate]} by the suite {plain(facts.suite)} on {plain(when)}.{serving}"


def _description(facts: Facts) -> Iterator[str]:
    if facts.origin.description:
        yield plain(facts.origin.description)
    else:
        yield (
            "> Nobody has described it yet: what it is for, and for what it is not, belongs into "
            "the version's description in the registry."
        )


def _about(facts: Facts) -> Iterator[tuple[str, Any]]:
    origin, model = facts.origin, facts.model
    yield "task", facts.task.value
    yield "framework", model.flavor
    yield "files", ", ".join(model.credentials.formats) or fmt.DASH
    yield "SHA-256 of its files", facts.digest
    if origin.registered_at is not None:
        by = f" by {origin.registered_by}" if origin.registered_by else ""
        yield "registered", f"{fmt.moment(origin.registered_at)}{by}"
    if origin.training_run:
        yield "trained in the run", origin.training_run
    if origin.commit:
        yield "by the commit", origin.commit
    for name, value in sorted(origin.params.items()):
        yield f"parameter {name}", value
    if model.classes:
        yield "classes", ", ".join(map(str, model.classes))
    yield "inputs", ", ".join(model.features)


def dataset_sentence(judgement: Judgement) -> str:
    """The dataset of an evaluation in a sentence."""
    data = judgement.plan.dataset
    made_of = f", made of {plain(data.files)}" if data.files else ""
    return f"On {data.rows:,} rows of {plain(data.name)} (version {data.version}{made_of})."


def _evaluation_part(judgement: Judgement) -> Iterator[str]:
    yield f"### {plain(judgement.plan.name)}"
    yield f"{dataset_sentence(judgement)} {plain(judgement.reason)}."
    level = f"{100 * judgement.plan.confidence:g} %"
    if judgement.overall:
        heads = ["metric", "value", f"{level} interval", "demanded", "verdict"]
        yield table(heads, [_line(cell) for cell in judgement.overall])
    compared = [cell for cell in judgement.overall if cell["delta"] is not None]
    if compared:
        yield f"Beside {plain(compared[0]['baseline_model'])}, on the same rows:"
        rows = [
            [cell["metric"], fmt.number(cell["baseline_value"]),
             fmt.change(cell["delta"], cell["delta_ci_low"], cell["delta_ci_high"])]
            for cell in compared
        ]  # fmt: skip
        yield table(["metric", "baseline", "difference"], rows)
    worst = _worst_slices(judgement)
    if worst:
        yield "Where it does worst, of each metric the slice furthest below all rows:"
        yield table(["metric", "slice", "rows", "value", "all rows"], worst)


def _line(cell: Cell) -> list[Any]:
    interval = fmt.interval(cell["ci_low"], cell["ci_high"]) or fmt.DASH
    return [
        cell["test"] if cell["test"] == cell["metric"] else f"{cell['metric']} ({cell['test']})",
        fmt.number(cell["value"]),
        interval,
        cell["condition"] or fmt.DASH,
        cell["verdict"],
    ]


def _worst_slices(judgement: Judgement) -> list[list[Any]]:
    """Of each test the slice that is furthest on the bad side of all rows, the largest gap first.

    Which side is bad is told by the metric, not guessed.
    """
    overall = {cell["test"]: cell for cell in judgement.overall}
    directions = {test.name: _higher_is_better(test) for test in judgement.plan.tests}
    gaps: dict[str, tuple[float, Cell]] = {}
    for cell in judgement.figures:
        base = overall.get(cell["test"])
        better = directions.get(cell["test"])
        if base is None or better is None or cell["slice"] == OVERALL:
            continue
        if not is_clean(cell):
            continue
        gap = (base["value"] - cell["value"]) * (1 if better else -1)
        if gap > 0 and gap > gaps.get(cell["test"], (0.0, cell))[0]:
            gaps[cell["test"]] = (gap, cell)
    worst = sorted(gaps.values(), key=lambda pair: -pair[0])[:MOST_SLICES]
    return [
        [cell["metric"], cell["slice"], f"{cell['n']:,}",
         fmt.estimate(cell["value"], cell["ci_low"], cell["ci_high"]),
         fmt.number(overall[cell["test"]]["value"])]
        for _, cell in worst
    ]  # fmt: skip


def _higher_is_better(test: ModelTest) -> bool | None:
    """The direction of what a test measures; None where nothing tells."""
    try:
        return kind_of(test).metric(test).higher_is_better
    except InputError:
        # A kind or a metric of a user's own that is not installed here.
        return None


def _limits(facts: Facts) -> Iterator[str]:
    """What failed, what could not be decided, what could not be evaluated."""
    kinds = {
        Verdict.FAIL: "Failed",
        Verdict.ERROR: "Could not be evaluated",
        Verdict.INCONCLUSIVE: "Could not be decided with the rows that there are",
    }
    none = True
    for verdict, words in kinds.items():
        cells = [cell for judgement in facts.judgements for cell in judgement.with_verdict(verdict)]
        if not cells:
            continue
        none = False
        count = f"{len(cells):,} cell{'' if len(cells) == 1 else 's'}"
        more = f" (the first {MOST_CELLS})" if len(cells) > MOST_CELLS else ""
        yield f"**{words}**: {count}{more}."
        yield "\n".join(
            f"- {plain(cell['test'])}, {plain(cell_text(cell))}: {plain(cell['reason'])}"
            for cell in cells[:MOST_CELLS]
        )
    if none:
        yield "Nothing that was asked failed or was left undecided."
    yield (
        "What the suite does not ask was not tested. Slices are those of the suite: others may do "
        "worse."
    )


def _provenance(facts: Facts) -> str:
    who = f" by {plain(facts.user)}" if facts.user else ""
    return (
        f"All figures are of the run {plain(facts.run_id)} of the suite {plain(facts.suite)}, "
        f"made{who} from {plain(fmt.moment(facts.started_at))} to "
        f"{plain(fmt.moment(facts.finished_at))}; each is computed on all rows, and its interval "
        "is as the suite's confidence says. The bill of materials beside this card has every "
        "figure of every slice."
    )
