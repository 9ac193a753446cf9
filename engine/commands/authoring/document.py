"""A draft as YAML with comments, such that our own loader reads what was meant.

`ruamel.yaml` writes YAML 1.2, suites are read by PyYAML as YAML 1.1: a text that either takes for
something else is quoted.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from engine.commands.authoring.wishes import Draft, Situation
from engine.suite.yaml_document import SuiteLoader

_WIDTH = 90
# A mapping or a list of at most so many characters stands on its line.
_FLOW = 88
SCHEMA_LINE = "yaml-language-server: $schema=suite.schema.json"
_SCHEMA_HINT = "(made by `evalmatrix schema > suite.schema.json`: editors complete and check by it)"
_NESTED = 6
_RULE = "-----"


@dataclass(frozen=True, slots=True)
class Heading:
    """What the top of a suite says: its store, its tracking server, what was guessed."""

    store: str
    tracking_uri: str | None
    told: Sequence[str]


def suite_text(situation: Situation, draft: Draft, heading: Heading) -> tuple[dict[str, Any], str]:
    """The suite as data, and as a commented file that says the same."""
    meaning = _suite_data(situation, draft, heading)
    root = _as_ruamel(meaning)
    evaluation = root["evaluations"][0]
    root.yaml_set_start_comment(_top(situation, heading))
    _comment_models(evaluation, situation)
    _comment_items(evaluation.get("slices"), ["", *(entry.why for entry in draft.slices)], {})
    entries = [entry for tests in draft.tests.values() for entry in tests]
    titles, place = {}, 0
    for title, tests in draft.tests.items():
        titles[place] = title
        place += len(tests)
    _comment_items(evaluation["tests"], [entry.why for entry in entries], titles)
    writer = YAML()
    writer.indent(mapping=2, sequence=4, offset=2)
    writer.width = 4096
    writer.allow_unicode = True
    out = io.StringIO()
    writer.dump(root, out)
    return meaning, out.getvalue().rstrip("\n") + "\n" + _end(draft)


def _suite_data(situation: Situation, draft: Draft, heading: Heading) -> dict[str, Any]:
    evaluation: dict[str, Any] = {"name": situation.name, "dataset": dict(situation.dataset)}
    if situation.reference is not None:
        evaluation["reference"] = dict(situation.reference)
    evaluation["models"] = [dict(model) for model in situation.models]
    evaluation["baseline"] = situation.champion
    evaluation["slices"] = ["overall", *(_plain(entry.test) for entry in draft.slices)]
    evaluation["tests"] = [_plain(e.test) for tests in draft.tests.values() for e in tests]
    mlflow = {} if heading.tracking_uri is None else {"tracking_uri": heading.tracking_uri}
    return {
        "name": situation.name,
        "store": heading.store,
        **({"mlflow": mlflow} if mlflow else {}),
        "evaluations": [evaluation],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _as_ruamel(value: Any) -> Any:
    """Data as ruamel writes them: short parts on one line, odd texts in quotes."""
    if isinstance(value, Mapping):
        mapping = CommentedMap({_scalar(key): _as_ruamel(item) for key, item in value.items()})
        if value and len(str(value)) <= _FLOW and not {"dataset", "evaluations"} & set(value):
            mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list):
        listed = CommentedSeq([_as_ruamel(item) for item in value])
        if not any(isinstance(item, Mapping | list) for item in value):
            listed.fa.set_flow_style()
        return listed
    return _scalar(value)


def _scalar(value: Any) -> Any:
    """A value of a file; a text in quotes where without them it could be read as anything else."""
    if not isinstance(value, str) or _is_plain(value):
        return value
    return DoubleQuotedScalarString(value)


def _is_plain(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or (text[:1] in "yYnNoO" and len(text) <= 3):
        return False
    try:
        return bool(
            yaml.load(f"[{text}]", SuiteLoader) == [text]
            and yaml.load(f"a: {text}", SuiteLoader) == {"a": text}
            and YAML(typ="safe").load(f"[{text}]") == [text]
        )
    except Exception:
        # Whatever is wrong with it without quotes, it has them then.
        return False


def _top(situation: Situation, heading: Heading) -> str:
    table = f"{situation.name} at version {situation.version}, {situation.rows:,} rows"
    lines = [
        SCHEMA_LINE,
        _SCHEMA_HINT,
        f"Drafted by `evalmatrix init` from {table}; the champion is {situation.champion}.",
        *heading.told,
        "Limits lie two half widths of the interval from what the champion has: the same model on",
        "as many fresh rows stays within them. Read them, and say what you need.",
    ]
    return "\n".join([*lines[:2], *(part for line in lines[2:] for part in _wrap(line))])


def _wrap(text: str) -> list[str]:
    """A text as lines of a comment, whatever names of columns are in it."""
    shown = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
    return textwrap.wrap(shown, _WIDTH, break_long_words=False, break_on_hyphens=False) or [""]


def _comment_models(evaluation: CommentedMap, situation: Situation) -> None:
    hint = "the champion first, then what is compared with it"
    if len(situation.models) == 1:
        hint = "the champion; candidates go below it, such as - uri: models:/name@challenger"
    evaluation["models"].yaml_set_comment_before_after_key(0, before=hint, indent=_NESTED)


def _comment_items(
    items: CommentedSeq | None, whys: Sequence[str], titles: Mapping[int, str]
) -> None:
    for place, why in enumerate(whys):
        lines = ["", f"{_RULE} {titles[place]}"] if place in titles else []
        lines += [why] if why else []
        if items is not None and lines:
            text = "\n".join(part for line in lines for part in _wrap(line))
            items.yaml_set_comment_before_after_key(place, before=text, indent=_NESTED)


def _end(draft: Draft) -> str:
    if not draft.omissions:
        return ""
    lines = ["", "# Left out, and why:"]
    for text in draft.omissions:
        first, *others = _wrap(text)
        lines += [f"# - {first}", *(f"#   {line}" for line in others)]
    return "\n".join(lines) + "\n"
