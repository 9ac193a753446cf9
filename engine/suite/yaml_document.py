"""YAML with places: plain data, and the line and column of each key and value in it.

The nodes are composed by PyYAML's safe loader, and only texts, numbers, booleans, null,
timestamps, lists and mappings with text keys are taken. Everything else, and a key given twice,
is a mistake with its place. Nothing in a file can name a class or run code.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from engine.errors import Mistake
from engine.fields.wording import Loc, place_text, printable_text, quote

_TAG = "tag:yaml.org,2002:"
_WORDS = frozenset({"on", "off", "yes", "no"})
_SCALARS = {_TAG + name for name in ("str", "int", "float", "bool", "null", "timestamp")}
# What PyYAML's constructors raise on a scalar that its tag does not fit, `!!bool x` or 2026-13-01.
_SCALAR_ERRORS = (ValueError, KeyError, AttributeError, IndexError, TypeError, OverflowError)
# Aliases can make a small file huge when it is expanded.
_MAX_NODES = 100_000
# `1:59:59` is a number in YAML, and a long one takes minutes to read.
_MAX_DIGITS = 100_000

_EXPONENT = re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")


def _is_word(node: Any) -> bool:
    """Whether YAML 1.1 takes a word for a truth value that YAML 1.2 takes for a text."""
    if not isinstance(node, yaml.ScalarNode) or node.tag != _TAG + "bool":
        return False
    return str(node.value).lower() in _WORDS


class SuiteLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which also reads `1e-3` as the number that YAML 1.2 takes it for."""

    _parts = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Makes a node, unless there are too many of them already."""
        self._parts += 1
        if self._parts > _MAX_NODES:
            raise yaml.YAMLError(f"it has more than {_MAX_NODES} parts")
        node: yaml.Node | None = super().compose_node(parent, index)
        is_key = isinstance(parent, yaml.MappingNode) and index is None
        if is_key and node is not None and _is_word(node):
            # YAML 1.1 takes `on:` for `true:`; as a key it is meant as it is written.
            node.tag = _TAG + "str"
        return node


class SuiteDumper(yaml.SafeDumper):
    """PyYAML's safe dumper with the loader's idea of numbers, and without aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


for _yaml_class in (SuiteLoader, SuiteDumper):
    _yaml_class.add_implicit_resolver(_TAG + "float", _EXPONENT, list("-+0123456789"))


@dataclass(frozen=True, slots=True)
class Place:
    """A line and a column in a file, both counted from 1."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """The data of a file while it is read, and where each part of it came from.

    `origins` has the overrides by the location that they set, `broken` the locations whose
    mistake is told already, so that no second one is told of their value; `root` names the whole.
    """

    data: Any = None
    keys: dict[Loc, Place] = field(default_factory=dict)
    values: dict[Loc, Place] = field(default_factory=dict)
    origins: dict[Loc, str] = field(default_factory=dict)
    broken: set[Loc] = field(default_factory=set)
    mistakes: list[Mistake] = field(default_factory=list)
    root: str = "suite"

    def report(self, loc: Loc, message: str, *, key: bool = False) -> None:
        """Adds a mistake at a location, with its line or the override that it came by."""
        if self.is_broken(loc):
            return
        origin = next((self.origins[up] for up in _upwards(loc) if up in self.origins), None)
        if origin is not None:
            message = f"{message} (given by --set {printable_text(origin, 200)})"
            self.mistakes.append(Mistake(self._place_text(loc), message))
            return
        place = self.keys.get(loc) if key else None
        if place is None:
            place = next((self.values[up] for up in _upwards(loc) if up in self.values), None)
        line, column = (place.line, place.column) if place else (None, None)
        self.mistakes.append(Mistake(self._place_text(loc), message, line, column))

    def _place_text(self, loc: Loc) -> str:
        return place_text(loc) if loc else self.root

    def is_broken(self, loc: Loc) -> bool:
        """Tells whether the mistake of this part, or of what it lies in, is told already."""
        return any(up in self.broken for up in _upwards(loc))


def _upwards(loc: Loc) -> Iterator[Loc]:
    """Yields a location and all that it lies in, innermost first."""
    return (loc[:end] for end in range(len(loc), -1, -1))


def read_document(text: str, root: str = "suite") -> Document:
    """Reads one YAML document; what cannot be read is in the `mistakes` of the result."""
    document = Document(root=root)
    try:
        loader = SuiteLoader(text)
        try:
            node = loader.get_single_node()
            if node is not None:
                _Builder(document, loader).build(node, ())
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        document.mistakes.append(_not_yaml(error, text, root))
        document.broken.add(())
    except (RecursionError, *_SCALAR_ERRORS) as error:
        # A bad escape such as "\U99999999" comes out of PyYAML's scanner as a bare ValueError.
        reason = "is nested too deeply" if isinstance(error, RecursionError) else f"({error})"
        document.mistakes.append(Mistake(root, f"cannot be read as YAML {reason}"))
        document.broken.add(())
    return document


def _not_yaml(error: yaml.YAMLError, text: str, root: str) -> Mistake:
    """Words a syntax error with its place."""
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line = before.count("\n") + 1
        column = len(before) - before.rfind("\n")
        code = error.character if isinstance(error.character, int) else ord(error.character)
        message = f"is not YAML: the character U+{code:04X} is not allowed"
        return Mistake(root, message, line, column)
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        parts = [part for part in (error.context, error.problem) if part]
        message = printable_text(f"is not YAML: {', '.join(parts)}", 400)
        if mark is not None:
            return Mistake(root, message, mark.line + 1, mark.column + 1)
        return Mistake(root, message)
    return Mistake(root, f"cannot be read: {error}")


class _Builder:
    """Builds plain data out of nodes; writes places and mistakes into a document."""

    def __init__(self, document: Document, loader: SuiteLoader) -> None:
        self._document = document
        self._loader = loader
        self._visited = 0
        self._open: set[int] = set()

    def build(self, node: yaml.Node, loc: Loc) -> Any:
        """Builds the value of a node and, at the root, puts it into the document."""
        self._document.values.setdefault(loc, _place(node))
        value = self._value(node, loc)
        if not loc:
            self._document.data = value
        return value

    def _value(self, node: yaml.Node, loc: Loc) -> Any:
        self._count()
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, loc)
        if not self._may_open(node, loc):
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
                return self._mapping(node, loc)
            if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
                return [self.build(item, (*loc, i)) for i, item in enumerate(node.value)]
        finally:
            self._open.discard(id(node))
        return self._break(loc, f"the tag {quote(node.tag)} is not allowed in a suite file")

    def _may_open(self, node: yaml.Node, loc: Loc) -> bool:
        if id(node) in self._open:
            self._break(loc, "an alias stands inside the value that it names")
            return False
        return True

    def _count(self) -> None:
        self._visited += 1
        if self._visited > _MAX_NODES:
            raise yaml.YAMLError(f"it has more than {_MAX_NODES} parts once aliases are expanded")

    def _scalar(self, node: yaml.ScalarNode, loc: Loc) -> Any:
        if node.tag == _TAG + "value":
            return node.value
        if node.tag not in _SCALARS:
            return self._break(loc, f"the tag {quote(node.tag)} is not allowed in a suite file")
        kind = node.tag.removeprefix(_TAG)
        if kind not in ("int", "float") or len(node.value) <= _MAX_DIGITS:
            with contextlib.suppress(yaml.YAMLError, *_SCALAR_ERRORS):
                return self._loader.construct_object(node)
        return self._break(loc, f"found {quote(node.value)}, which is no valid YAML {kind}")

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        # An own key counts before a merged one, and of the merged the first counts.
        entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _TAG + "merge":
                continue
            key = self._key(key_node, loc)
            if key is None:
                continue
            if key in entries:
                first = entries[key][0].start_mark.line + 1
                mark = _place(key_node)
                self._document.mistakes.append(
                    Mistake(
                        place_text((*loc, key)),
                        f"the key {quote(key)} is given twice, first in line {first}; expected it "
                        "once",
                        mark.line,
                        mark.column,
                    )
                )
                continue
            entries[key] = (key_node, value_node)
        for key_node, value_node in self._merge_pairs(node, loc):
            key = self._key(key_node, loc)
            if key is not None:
                entries.setdefault(key, (key_node, value_node))
        if node.value and not entries:
            # Its keys are refused already; that it is empty without them is no second mistake.
            self._document.broken.add(loc)
        return {key: self._entry(nodes, (*loc, key)) for key, nodes in entries.items()}

    def _entry(self, nodes: tuple[yaml.Node, yaml.Node], loc: Loc) -> Any:
        self._document.keys.setdefault(loc, _place(nodes[0]))
        return self.build(nodes[1], loc)

    def _key(self, node: yaml.Node, loc: Loc) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag in (_TAG + "str", _TAG + "value"):
            return str(node.value)
        mark = _place(node)
        quotes = "; put it in quotes" if isinstance(node, yaml.ScalarNode) else ""
        kind = node.tag.removeprefix(_TAG)
        key = quote(node.value) if isinstance(node, yaml.ScalarNode) else "that is no text"
        message = f"found a key {key} ({kind}), expected a text{quotes}"
        self._document.mistakes.append(Mistake(place_text(loc), message, mark.line, mark.column))
        return None

    def _merge_pairs(
        self, node: yaml.MappingNode, loc: Loc
    ) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """Yields the pairs that `<<` brings into a mapping, those that count first."""
        for key_node, value_node in node.value:
            if key_node.tag != _TAG + "merge":
                continue
            listed = isinstance(value_node, yaml.SequenceNode)
            for source in value_node.value if listed else [value_node]:
                if not isinstance(source, yaml.MappingNode):
                    self._document.report(loc, "found a '<<' that names no mapping, expected one")
                    continue
                if not self._may_open(source, loc):
                    continue
                self._count()
                self._open.add(id(source))
                yield from (pair for pair in source.value if pair[0].tag != _TAG + "merge")
                yield from self._merge_pairs(source, loc)
                self._open.discard(id(source))

    def _break(self, loc: Loc, message: str) -> None:
        self._document.report(loc, message)
        self._document.broken.add(loc)


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)
