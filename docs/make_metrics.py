"""Writes the tables of `docs/metrics.md` from the registry, so that they cannot go stale.

Run as `python docs/make_metrics.py`; with `--check` nothing is written, and the exit code is 1
when the file is not what would be written. What the registry does not know of a metric (its
reference, and what happens at its edges) stands in `metric_notes.py`; a registered metric without
it is an error.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from metric_notes import MADE, NEVER, NOTES, Made

from engine.core.vocabulary import TaskKind
from engine.metrics import GROUPED, METRICS, Metric, Problem
from engine.states import PairedHits, PairedHitsOf, PairedQueryMean, PairedScores

PAGE = Path(__file__).resolve().parent / "metrics.md"
BEGIN, END = "<!-- made by docs/make_metrics.py -->", "<!-- end -->"

GROUPS = (
    ("Binary only", frozenset({TaskKind.BINARY})),
    ("Multiclass only", frozenset({TaskKind.MULTICLASS})),
    ("Binary and multiclass", frozenset({TaskKind.BINARY, TaskKind.MULTICLASS})),
    ("Regression", frozenset({TaskKind.REGRESSION})),
    ("Multilabel", frozenset({TaskKind.MULTILABEL})),
    ("Ranking", frozenset({TaskKind.RANKING})),
)
FAIRNESS = "Between the groups of a column (binary)"
VERSIONS = "Between a version and the baseline"

BY_ROWS = "the rows on which the two differ"
BY_MEANS = "the difference of each row"
BY_QUERIES = "the difference of each query"
BY_PAIRS = "the pairs of both models' scores (DeLong)"
BY_BUCKETS = "the buckets (jackknife)"
NO_INTERVAL = "nothing: neither the value nor the difference has an interval"
NO_DIFFERENCE = "nothing: the value has an interval, and the difference is none or has none"
COMPARED = (BY_ROWS, BY_MEANS, BY_QUERIES, BY_PAIRS, BY_BUCKETS, NO_INTERVAL, NO_DIFFERENCE)

HEAD = "| name | meaning | better | needs scores | compared with | MLflow's key | undefined |"


def tables() -> str:
    """All the tables, as Markdown."""
    metrics = list(METRICS)
    _check(metrics)
    parts = []
    for title, rows in _titled(metrics).items():
        parts += [f"### {title}", "", HEAD, "|" + " --- |" * 7, *sorted(map(_row, rows)), ""]
    parts += ["### Names made when they are asked for", ""]
    parts += ["| name | for | meaning | needs scores | undefined |", "|" + " --- |" * 5]
    parts += [_made_row(each) for each in MADE]
    parts += ["", "### Intervals and comparisons", "", *_comparisons(metrics)]
    parts += ["", "### Aliases", "", "| written | means |", "| --- | --- |", *_aliases(), ""]
    return "\n".join(parts)


def _check(metrics: list[Metric]) -> None:
    """Refuses metrics and patterns of names without a note, and notes without a metric."""
    lacking = sorted({each.name for each in metrics} ^ set(NOTES))
    patterns = METRICS.patterns()
    unshown = [p for p in patterns if not any(re.fullmatch(p, made.example) for made in MADE)]
    unmade = [m.example for m in MADE if not any(re.fullmatch(p, m.example) for p in patterns)]
    if lacking or unshown or unmade:
        raise SystemExit(
            f"docs/metric_notes.py: NOTES and the registry differ in {lacking}; MADE has no "
            f"example of {unshown}, and {unmade} are no names"
        )


def _titled(metrics: list[Metric]) -> dict[str, list[Metric]]:
    """The metrics of each table."""
    titled: dict[str, list[Metric]] = {title: [] for title, _ in GROUPS}
    titled |= {FAIRNESS: [], VERSIONS: []}
    for each in metrics:
        if each.name in GROUPED:
            titled[FAIRNESS].append(each)
        elif each.against:
            titled[VERSIONS].append(each)
        else:
            titled[next(title for title, tasks in GROUPS if each.tasks == tasks)].append(each)
    return titled


def _row(each: Metric) -> str:
    note = NOTES[each.name]
    better = {True: "higher", False: "lower", None: NEVER}[each.higher_is_better]
    columns = [
        f"`{each.name}`",
        each.summary,
        better,
        "yes" if each.needs_scores else "no",
        f"`{note.reference}`",
        f"`{each.mlflow_key}`",
        note.undefined,
    ]
    return f"| {' | '.join(columns)} |"


def _made_row(made: Made) -> str:
    metric = METRICS.get(made.example)
    places = list(dict.fromkeys(re.findall("<[a-z]+>", made.written)))
    # What stands for the places in the example, wherever the meaning says it.
    numbers = re.findall(r"[0-9][0-9.]*", made.example)[-len(places) :]
    meaning = metric.summary
    for place, number in zip(places, numbers, strict=True):
        alone = rf"(?<![\w.]){re.escape(number)}(?!\w|\.\d)"
        meaning = re.sub(alone, f"`{place}`", meaning)
    columns = [
        ", ".join(f"`{each}`" for each in made.written.split(", ")),
        " and ".join(sorted(metric.tasks)),
        meaning,
        "yes" if metric.needs_scores else "no",
        made.undefined,
    ]
    return f"| {' | '.join(columns)} |"


def _comparisons(metrics: list[Metric]) -> list[str]:
    """By what each metric of a table is compared with the baseline's."""
    by: dict[str, list[str]] = {words: [] for words in COMPARED}
    for each in metrics:
        by[_comparison(each)].append(f"`{each.name}`")
    lines = ["| the difference to the baseline is judged by | metrics |", "| --- | --- |"]
    return lines + [f"| {words} | {', '.join(sorted(names))} |" for words, names in by.items()]


def _comparison(each: Metric) -> str:
    """The words of `COMPARED` that are true of a metric."""
    if each.name in GROUPED or each.against:
        return NO_DIFFERENCE
    if not each.intervals:
        return NO_INTERVAL
    task = sorted(each.tasks)[0]
    problem = Problem(task, (0, 1), costs=((0.0, 1.0), (1.0, 0.0)))
    for family in each.paired(problem) if each.paired else ():
        if isinstance(family, PairedHits | PairedHitsOf):
            return BY_ROWS if each.hits_of is not None else BY_BUCKETS
        if isinstance(family, PairedScores):
            return BY_PAIRS
        return BY_QUERIES if isinstance(family, PairedQueryMean) else BY_MEANS
    return BY_BUCKETS


def _aliases() -> list[str]:
    pairs = [(name, METRICS.canonical(name)) for name in METRICS.names(aliases=True)]
    return [f"| `{name}` | `{own}` |" for name, own in pairs if name != own]


def page(text: str) -> str:
    """The page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{PAGE}: expected the lines {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


def main(arguments: list[str]) -> int:
    text = PAGE.read_text(encoding="utf-8")
    wanted = page(text)
    if arguments == ["--check"]:
        if text != wanted:
            print("docs/metrics.md is not current: run python docs/make_metrics.py")
        return int(text != wanted)
    PAGE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
