"""Files that are archives: what they really hold, whatever they are called.

A `.skops`, `.keras` or `.pt2` file is safe by what its loader does with it; each of the three has
a way to carry code, and which one is there is seen here.
"""

from __future__ import annotations

import ast
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.core.vocabulary import ModelFormat
from engine.models.trust.pickles import has_only_tensors

_BROKEN = (zipfile.BadZipFile, OSError, ValueError, KeyError, RuntimeError, NotImplementedError)
_MOST_JSON = 64 * 2**20
_MOST_TENSORS = 2**30

# What an exported program may call: operators of PyTorch, and those of numbers.
_TARGET = re.compile(r"torch\.ops\.\w+\.\w+(\.\w+)?|(_operator|math)\.\w+|torch\.sym_\w+")
_SYMBOL = re.compile(r"\w+")
_EXPRESSION = (
    ast.Expression, ast.Call, ast.Name, ast.Load, ast.Constant, ast.keyword, ast.BinOp, ast.UnaryOp,
    ast.BoolOp, ast.Compare, ast.Tuple, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip


def archive_formats(path: Path) -> Iterator[ModelFormat]:
    """The formats of a file that is a zip; several where it carries more than its own."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield from _formats(archive, set(archive.namelist()))
    except _BROKEN:
        yield ModelFormat.OTHER


def _formats(archive: zipfile.ZipFile, names: set[str]) -> Iterator[ModelFormat]:
    if "schema.json" in names:
        yield ModelFormat.SKOPS
    elif "config.json" in names and "metadata.json" in names:
        yield ModelFormat.KERAS
        if _has_foreign_layers(_json(archive, "config.json")):
            yield ModelFormat.CODE
    elif any(
        name.endswith(("archive_format", "serialized_exported_program.json")) for name in names
    ):
        yield ModelFormat.PT2
        yield from _in_program(archive)
    elif any(name.endswith(".pkl") for name in names):
        yield ModelFormat.PICKLE
    elif any(name.endswith((".py", ".pyc", ".so")) for name in names):
        yield ModelFormat.CODE
    else:
        yield ModelFormat.OTHER


def _json(archive: zipfile.ZipFile, name: str) -> Any:
    if archive.getinfo(name).file_size > _MOST_JSON:
        raise ValueError(name)
    return json.loads(archive.read(name))


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _dicts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _dicts(item)


def _has_foreign_layers(config: Any) -> bool:
    """Whether a Keras model has a function of its maker's, or classes that are not Keras' own."""
    for item in _dicts(config):
        name, module = item.get("class_name"), item.get("module")
        if name in ("Lambda", "__lambda__") or item.get("registered_name") not in (None, name):
            return True
        if isinstance(module, str) and module.partition(".")[0] not in ("keras", "builtins"):
            return True
    return False


def _in_program(archive: zipfile.ZipFile) -> Iterator[ModelFormat]:
    """What an exported program carries beside its graph and its weights.

    PyTorch unpickles what is not a tensor, and evaluates the sizes of its graph as Python.
    """
    infos = {info.filename: info for info in archive.infolist()}
    if any(name.endswith((".so", ".cpp", ".cubin", ".py", ".pyc")) for name in infos):
        yield ModelFormat.CODE
    loaded = {name for name in infos if name.endswith((".pt", ".pkl"))}
    for name in infos:
        if not name.endswith(".json"):
            continue
        content = _json(archive, name)
        if not all(_is_plain(item) for item in _dicts(content)):
            yield ModelFormat.CODE
        folder = name.rpartition("/")[0]
        for item in _dicts(content):
            place = f"{folder}/{item.get('path_name')}"
            if item.get("use_pickle") and place in infos:
                loaded.add(place)
    if not all(
        infos[name].file_size <= _MOST_TENSORS and has_only_tensors(archive.read(name))
        for name in loaded
    ):
        yield ModelFormat.PICKLE


def _is_plain(item: dict[str, Any]) -> bool:
    """Whether a part of a graph calls operators only, and has sizes that are plain arithmetic."""
    target = item.get("target")
    if isinstance(target, str) and "inputs" in item and not _TARGET.fullmatch(target):
        return False
    expression = item.get("expr_str")
    return expression is None or _is_arithmetic(expression)


def _is_arithmetic(text: Any) -> bool:
    """Whether an expression is of numbers, symbols and sympy's classes, in which nothing is run."""
    try:
        tree = ast.parse(str(text), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    symbols = []
    for node in ast.walk(tree):
        if not isinstance(node, _EXPRESSION):
            return False
        if isinstance(node, ast.Call):
            if not (isinstance(node.func, ast.Name) and node.func.id[:1].isupper()):
                return False
            if node.func.id in ("Symbol", "Dummy"):
                symbols += node.args[:1]
    texts = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    return all(node in symbols and _SYMBOL.fullmatch(str(node.value)) for node in texts)
