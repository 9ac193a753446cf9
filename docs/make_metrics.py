"""Writes the tables of `docs/metrics.md` from the registry, so that they cannot go stale.

Run as `python docs/make_metrics.py`; with `--check` nothing is written, and the exit code is 1
when the file is not what would be written. What the registry does not know of a metric (its
reference, and what happens at its edges) stands here; a registered metric without it is an error.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from engine.metrics import METRICS, Metric
from engine.vocabulary import TaskKind

PAGE = Path(__file__).resolve().parent / "metrics.md"
BEGIN, END = "<!-- made by docs/make_metrics.py -->", "<!-- end -->"

NEVER = "–"


@dataclass(frozen=True, slots=True)
class Note:
    """The function that a metric is compared with in the tests, and where it is undefined."""

    reference: str
    undefined: str = NEVER


_RATIO = {
    "precision": "`no_predicted_positive`: no row is predicted positive (scikit-learn: 0)",
    "recall": "`one_class`: no row is positive (scikit-learn: 0)",
    "f1": "`one_class`: no row is positive, and none is predicted so (scikit-learn: 0)",
}
_MISSING = "`one_class`: positives or negatives are missing (scikit-learn: NaN)"

NOTES: dict[str, Note] = {
    "accuracy": Note("accuracy_score"),
    "balanced_accuracy": Note("balanced_accuracy_score"),
    "matthews_corrcoef": Note(
        "matthews_corrcoef",
        "`one_class`: the labels are all the same; `constant`: the predictions are "
        "(scikit-learn: 0)",
    ),
    "roc_auc": Note("roc_auc_score", _MISSING),
    "roc_auc_ovr": Note(
        'roc_auc_score(multi_class="ovr")', "`one_class`: a class has no row, or has all of them"
    ),
    "roc_auc_ovr_weighted": Note(
        'roc_auc_score(multi_class="ovr", average="weighted")',
        "`one_class`: a class has no row, or has all of them",
    ),
    "average_precision": Note(
        "average_precision_score", "`one_class`: no row is positive (scikit-learn: 0)"
    ),
    "log_loss": Note("log_loss"),
    "brier_score": Note("brier_score_loss"),
    "top_k_accuracy": Note("top_k_accuracy_score(k=2)"),
    "mean_absolute_error": Note("mean_absolute_error"),
    "mean_squared_error": Note("mean_squared_error"),
    "root_mean_squared_error": Note("root_mean_squared_error"),
    "mean_absolute_percentage_error": Note("mean_absolute_percentage_error"),
    "r2": Note(
        "r2_score",
        "`constant`: the target is constant, as it is with one row (scikit-learn: 1, 0 or NaN)",
    ),
    "max_error": Note("max_error"),
}
for _name, _words in _RATIO.items():
    NOTES[_name] = Note(f"{_name}_score", _words)
    for _average in ("macro", "micro", "weighted"):
        NOTES[f"{_name}_{_average}"] = Note(f'{_name}_score(average="{_average}")')

# Names that are made when they are asked for: how they are written, an example, where undefined.
PATTERNS: dict[str, tuple[str, str, str]] = {
    r"precision_class_(?P<label>.+)": (
        "precision_class_<label>",
        "precision_class_3",
        "`no_predicted_positive`: the class is predicted for no row",
    ),
    r"recall_class_(?P<label>.+)": (
        "recall_class_<label>",
        "recall_class_3",
        "`one_class`: no row is of the class",
    ),
    r"f1_class_(?P<label>.+)": (
        "f1_class_<label>",
        "f1_class_3",
        "`one_class`: no row is of the class, and it is predicted for none",
    ),
    r"top_(?P<k>[1-9][0-9]*)_accuracy": ("top_<k>_accuracy", "top_3_accuracy", NEVER),
    r"top_k_accuracy_(?P<k>[1-9][0-9]*)": ("top_k_accuracy_<k>", "top_k_accuracy_3", NEVER),
}

GROUPS = (
    ("Binary only", frozenset({TaskKind.BINARY})),
    ("Multiclass only", frozenset({TaskKind.MULTICLASS})),
    ("Binary and multiclass", frozenset({TaskKind.BINARY, TaskKind.MULTICLASS})),
    ("Regression", frozenset({TaskKind.REGRESSION})),
)

HEAD = "| name | meaning | better | needs scores | compared with | MLflow's key | undefined |"


def tables() -> str:
    """All the tables, as Markdown."""
    metrics = list(METRICS)
    unknown = sorted(each.name for each in metrics if each.name not in NOTES)
    if unknown or set(METRICS.patterns()) != set(PATTERNS):
        raise SystemExit(
            f"docs/make_metrics.py: NOTES lacks {unknown}; PATTERNS has {sorted(PATTERNS)}, the "
            f"registry {sorted(METRICS.patterns())}"
        )
    parts = []
    for title, tasks in GROUPS:
        rows = [_row(each) for each in metrics if each.tasks == tasks]
        parts += [f"### {title}", "", HEAD, "|" + " --- |" * 7, *sorted(rows), ""]
    parts += ["### Names made when they are asked for", ""]
    parts += ["| name | for | meaning | needs scores | undefined |", "|" + " --- |" * 5]
    parts += [_pattern_row(*PATTERNS[pattern]) for pattern in METRICS.patterns()]
    parts += ["", "### Aliases", "", "| written | means |", "| --- | --- |", *_aliases(), ""]
    return "\n".join(parts)


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


def _pattern_row(written: str, example: str, undefined: str) -> str:
    made = METRICS.get(example)
    meaning = made.summary.replace("class 3", "class `<label>`").replace("the 3", "the `<k>`")
    columns = [
        f"`{written}`",
        " and ".join(sorted(made.tasks)),
        meaning,
        "yes" if made.needs_scores else "no",
        undefined,
    ]
    return f"| {' | '.join(columns)} |"


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
