"""Puts a slice into a suite's file, which stays as it is in all else, comments too."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import yaml

from engine.errors import InputError
from engine.suite.yaml_document import SuiteLoader


@dataclass(frozen=True, slots=True)
class PinnedSlice:
    """A slice by a predicate, under a name."""

    name: str
    where: str

    @property
    def flow(self) -> str:
        """The slice as it stands within a line."""
        return f"{{where: {_quote(self.where)}, name: {_quote(self.name)}}}"

    def block(self, column: int) -> str:
        """The slice as an item of a list whose dashes stand in a column."""
        dash = " " * column
        return f"{dash}- where: {_quote(self.where)}\n{dash}  name: {_quote(self.name)}\n"


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def add_slice(text: str, evaluation: str, added: PinnedSlice) -> str:
    """The text of a suite's file with one slice more in an evaluation.

    Raises:
        InputError: where it has no such evaluation, or the list stands where no line can be added.
    """
    node = _evaluation(text, evaluation)
    slices = _value(node, "slices")
    lines = text.splitlines(keepends=True)
    if slices is None:
        return _add_list(lines, node, added)
    if isinstance(slices, yaml.SequenceNode) and slices.flow_style:
        return _add_in_line(text, slices, added)
    if not isinstance(slices, yaml.SequenceNode) or not slices.value:
        raise InputError(
            f"the slices of the evaluation {evaluation!r} are no list of items; expected one, such "
            f"as `slices: [overall]`; or add the slice by hand:\n{added.block(0)}"
        )
    last = slices.value[-1]
    column = slices.start_mark.column
    place = _end_line(last)
    _end_with_newline(lines, place)
    lines.insert(place + 1, added.block(column))
    return "".join(lines)


def _add_list(lines: list[str], node: yaml.MappingNode, added: PinnedSlice) -> str:
    """Puts `slices` before the key `tests`, or behind the first key."""
    if node.flow_style:
        raise InputError(
            "the evaluation stands within one line, where no list is added; add the slice by "
            f"hand:\nslices: [overall, {added.flow}]"
        )
    keys = {key.value: key.start_mark for key, _ in node.value}
    mark = keys.get("tests")
    if mark is None or mark.line == node.start_mark.line:
        first_key, first_value = node.value[0]
        mark, place = first_key.start_mark, _end_line(first_value) + 1
        _end_with_newline(lines, place - 1)
    else:
        place = mark.line
    indent = " " * mark.column
    lines.insert(place, f"{indent}slices:\n{indent}  - overall\n{added.block(mark.column + 2)}")
    return "".join(lines)


def _add_in_line(text: str, slices: yaml.SequenceNode, added: PinnedSlice) -> str:
    """Puts an item before the bracket that ends a list within a line."""
    end = slices.end_mark.index - 1
    comma = ""
    if slices.value:
        between = text[slices.value[-1].end_mark.index : end]
        comma = " " if "," in re.sub(r"#.*", "", between) else ", "
    return f"{text[:end]}{comma}{added.flow}{text[end:]}"


def _end_line(node: yaml.Node) -> int:
    """The line in which a value's last character stands."""
    mark = node.end_mark
    if not isinstance(node, yaml.CollectionNode) or node.flow_style:
        return int(mark.line)
    # What is written in lines of its own ends where its last part does.
    parts = [part for pair in node.value for part in (pair if isinstance(pair, tuple) else [pair])]
    return _end_line(parts[-1]) if parts else int(mark.line)


def _end_with_newline(lines: list[str], place: int) -> None:
    if not lines[place].endswith("\n"):
        lines[place] += "\n"


def _evaluation(text: str, name: str) -> yaml.MappingNode:
    loader = SuiteLoader(text)
    try:
        root = loader.get_single_node()
    finally:
        loader.dispose()
    entries = _value(root, "evaluations")
    nodes = entries.value if isinstance(entries, yaml.SequenceNode) else []
    named = {}
    for node in nodes:
        called = _value(node, "name")
        if isinstance(called, yaml.ScalarNode):
            named[called.value] = node
    if name not in named:
        known = ", ".join(map(repr, named)) or "none"
        raise InputError(f"the suite has no evaluation {name!r}; it has {known}")
    node = named[name]
    assert isinstance(node, yaml.MappingNode), "it has a key `name`"
    return node


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """The value of a key of a mapping."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)
