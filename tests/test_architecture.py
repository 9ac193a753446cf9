"""Holds the rooms of `engine` where they belong: who may import whom, and what from outside.

A room is a module or a package directly under `engine`; a module under `engine.sinks` is a room
too. The three tables below are the whole of the rules. A new room is one line in each of the
first two, at the place where it belongs.
"""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 400

# From the bottom up: a room imports only rooms of the lines before its own.
LEVELS: tuple[tuple[str, ...], ...] = (
    ("_version", "errors", "faults", "interrupts", "places", "vocabulary"),
    ("telling",),
    ("locks", "registry", "spark_errors", "states", "statistics", "store"),
    ("metrics", "slices"),
    ("verdicts", "config"),
    ("matrix",),
    ("models",),
    ("reading",),
    ("kernel",),
    ("measure",),
    ("delta_sql", "spark_internals", "table_errors"),
    ("class_data", "cluster", "scratch", "shipping"),
    ("session",),
    ("tables",),
    ("changes", "ingest", "profile"),
    ("budget", "execute", "prepare"),
    ("stock",),
    ("predictions", "upkeep"),
    ("reuse",),
    ("chunks",),
    ("sinks.format",),
    ("sinks.keys", "sinks.selection"),
    (
        "explanation",
        "sinks.console",
        "sinks.github",
        "sinks.junit",
        "sinks.report",
        "sinks.results",
    ),
    ("sinks.tracking",),
    ("sinks",),
    ("beside", "discretion", "progress", "watched"),
    ("checkup", "training", "result", "publish"),
    ("begin", "compute"),
    ("job", "provision"),
    ("catchup", "rehearsal", "replay"),
    ("api",),
    ("engine",),
    ("listing",),
    ("cli",),
)

FRAMEWORKS = frozenset({"keras", "sklearn", "tensorflow", "torch"})
ARRAYS = frozenset({"numpy", "pandas", "pyarrow"})
SPARK = frozenset({"delta", "pyspark"})

# What a room may import from outside the standard library.
THIRD_PARTY: dict[str, frozenset[str]] = {
    "_version": frozenset(),
    "errors": frozenset(),
    "faults": frozenset(),
    "interrupts": frozenset(),
    "places": frozenset(),
    "vocabulary": frozenset(),
    "registry": frozenset(),
    "states": frozenset({"numpy"}),
    "statistics": frozenset({"numpy", "scipy"}),
    "locks": frozenset(),
    "store": frozenset(),
    "telling": frozenset(),
    "spark_errors": frozenset(),
    "metrics": frozenset({"numpy"}),
    "slices": ARRAYS,
    "verdicts": frozenset({"numpy"}),
    "config": frozenset({"pydantic", "pydantic_core", "yaml"}),
    "matrix": frozenset({"numpy", "pydantic"}),
    "models": ARRAYS | FRAMEWORKS | {"mlflow", "scipy", "skops", "yaml"},
    "reading": ARRAYS,
    "kernel": ARRAYS,
    "measure": frozenset({"numpy"}),
    "delta_sql": SPARK,
    "table_errors": SPARK,
    "spark_internals": SPARK,
    "cluster": SPARK,
    "shipping": SPARK,
    "class_data": frozenset(),
    "scratch": frozenset(),
    "session": SPARK,
    "tables": SPARK | ARRAYS,
    "ingest": SPARK,
    "profile": SPARK,
    "changes": SPARK,
    "stock": SPARK,
    "predictions": SPARK,
    "upkeep": SPARK,
    "reuse": SPARK,
    "chunks": SPARK,
    "compute": SPARK,
    "watched": SPARK,
    "budget": SPARK,
    "execute": SPARK | ARRAYS,
    "prepare": SPARK,
    "explanation": frozenset(),
    "sinks.format": frozenset(),
    "sinks.keys": frozenset(),
    "sinks.selection": frozenset(),
    "sinks.console": frozenset({"rich"}),
    "sinks.github": frozenset(),
    "sinks.junit": frozenset(),
    "sinks.report": frozenset({"jinja2", "markupsafe", "matplotlib", "numpy"}),
    "sinks.results": SPARK | ARRAYS,
    "sinks.tracking": ARRAYS | {"matplotlib", "mlflow"},
    "sinks": frozenset(),
    "beside": frozenset(),
    "discretion": frozenset({"pyspark"}),
    "progress": frozenset({"pyspark", "rich"}),
    "checkup": SPARK | {"mlflow"},
    "training": ARRAYS | FRAMEWORKS | {"mlflow", "pydantic", "yaml"},
    "result": frozenset({"pandas", "pyarrow", "rich"}),
    "publish": frozenset(),
    "begin": frozenset({"pyspark"}),
    "job": frozenset({"pyarrow", "pyspark"}),
    "replay": frozenset({"pyspark"}),
    "catchup": frozenset({"pyspark"}),
    "provision": frozenset({"pydantic", "pyspark", "yaml"}),
    "rehearsal": ARRAYS | {"mlflow", "sklearn"},
    "api": frozenset({"pandas", "pyarrow", "pyspark", "rich"}),
    "engine": frozenset(),
    "listing": frozenset({"rich"}),
    "cli": frozenset({"click", "pyspark", "rich", "typer"}),
}

# What a room may import inside a function: what not every user has, or what is slow to import.
LAZY: dict[str, frozenset[str]] = {
    "models": FRAMEWORKS | {"mlflow", "skops"},
    "spark_internals": SPARK,
    "sinks.report": frozenset({"matplotlib"}),
    "sinks.tracking": frozenset({"matplotlib", "mlflow"}),
    "checkup": SPARK | {"mlflow"},
    "training": FRAMEWORKS | {"mlflow"},
    # `evalmatrix --help` must not wait for Spark.
    "cli": frozenset({"engine", "pyspark"}),
}

# Rooms that may import by a name that they are given: users' modules, models, the lazy namespace.
BY_NAME = frozenset({"engine", "models", "registry", "training"})

# The JVM and the RDD are out of reach on Spark Connect: one module may try them, with a fallback.
SPARK_INTERNALS = frozenset(
    {"sparkContext", "SparkContext", "rdd", "_jvm", "_jdf", "_jsc", "_jsparkSession"}
)


@dataclass(frozen=True, slots=True)
class Import:
    """One name that a module imports: where, and whether at the top of the module."""

    line: int
    target: str
    at_top: bool
    types_only: bool


@dataclass(frozen=True, slots=True)
class Module:
    """A module of `engine`: its dotted name, its file, its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """`engine.states.codec` is in the room `states`, `engine.sinks.junit` in `sinks.junit`."""
        _, *parts = self.name.split(".")
        return room_of(parts)


def room_of(parts: list[str]) -> str:
    return ".".join(parts[: 2 if parts[:1] == ["sinks"] else 1]) or "engine"


@cache
def modules() -> dict[str, Module]:
    found = {}
    for path in sorted((ROOT / "engine").rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        name = ".".join(parts)
        found[name] = Module(name, path, ast.parse(path.read_text(encoding="utf-8"), str(path)))
    return found


def level(room: str) -> int:
    """The room's line in LEVELS; a room that is missing there stands above all others."""
    return next((number for number, rooms in enumerate(LEVELS) if room in rooms), len(LEVELS))


def is_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    )


def imports(module: Module) -> Iterator[Import]:
    """Every import of a module, those inside functions and under TYPE_CHECKING too."""

    def walk(node: ast.AST, at_top: bool, types_only: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                for target in targets(module, child):
                    yield Import(child.lineno, target, at_top, types_only)
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, at_top and not inside, types_only or is_types_only(child))

    yield from walk(module.tree, True, False)


def targets(module: Module, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The modules that one statement names; `from p import m` names p.m where that is a module."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    base = node.module or ""
    if node.level:
        here = module.name.split(".")
        package = here if module.path.name == "__init__.py" else here[:-1]
        base = ".".join([*package[: len(package) - node.level + 1], *filter(None, [node.module])])
    for alias in node.names:
        inner = f"{base}.{alias.name}"
        yield inner if inner in modules() else base


def is_ours(target: str) -> bool:
    return target == "engine" or target.startswith("engine.")


def place(module: Module, line: int) -> str:
    return f"{module.path.relative_to(ROOT)}:{line}"


def top(target: str) -> str:
    return target.partition(".")[0]


def check_none(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(problems)


def test_every_room_has_its_lines_in_the_tables() -> None:
    rooms = {module.room for module in modules().values()}
    placed = [room for rooms_of_level in LEVELS for room in rooms_of_level]
    assert len(placed) == len(set(placed)), "a room stands twice in LEVELS"
    assert rooms <= set(placed), f"not in LEVELS: {sorted(rooms - set(placed))}"
    assert set(placed) == set(THIRD_PARTY), "LEVELS and THIRD_PARTY name different rooms"
    for room, lazy in LAZY.items():
        assert lazy <= THIRD_PARTY[room] | {"engine"}, (
            f"LAZY allows {room} more than THIRD_PARTY does"
        )


def test_rooms_import_only_from_rooms_above_them() -> None:
    problems = []
    for module in modules().values():
        for found in imports(module):
            if not is_ours(found.target):
                continue
            other = room_of(found.target.split(".")[1:])
            if other != module.room and level(other) >= level(module.room):
                problems.append(
                    f"{place(module, found.line)}: room {module.room!r} (level "
                    f"{level(module.room)}) imports from {other!r} (level {level(other)})"
                )
    check_none(problems)


def test_rooms_import_from_outside_only_what_the_table_allows() -> None:
    problems = []
    for module in modules().values():
        allowed = THIRD_PARTY.get(module.room, frozenset()) | sys.stdlib_module_names | {"engine"}
        problems += [
            f"{place(module, found.line)}: room {module.room!r} may not import {found.target!r}"
            for found in imports(module)
            if top(found.target) not in allowed
        ]
    check_none(problems)


def test_imports_inside_functions_are_optional_frameworks_in_their_rooms() -> None:
    problems = []
    for module in modules().values():
        allowed = LAZY.get(module.room, frozenset())
        problems += [
            f"{place(module, found.line)}: room {module.room!r} imports {found.target!r} inside a "
            "function; move it to the top of the module"
            for found in imports(module)
            if not found.at_top and top(found.target) not in allowed
        ]
    check_none(problems)


def test_imports_by_name_stay_in_their_rooms() -> None:
    problems = []
    for module in modules().values():
        if module.room not in BY_NAME:
            problems += [
                f"{place(module, node.lineno)}: {ast.unparse(node)}"
                for node in ast.walk(module.tree)
                if isinstance(node, ast.Call)
                and ast.unparse(node.func).endswith(("import_module", "__import__"))
            ]
    check_none(problems)


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        module.name: {
            found.target
            for found in imports(module)
            if is_ours(found.target) and not found.types_only
        }
        for module in modules().values()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"import cycle: {' <- '.join(error.args[1])}")


def test_modules_are_short() -> None:
    lengths = {
        str(module.path.relative_to(ROOT)): len(module.path.read_text("utf-8").splitlines())
        for module in modules().values()
    }
    assert {path: n for path, n in lengths.items() if n >= MAX_LINES} == {}


def test_spark_internals_stay_in_their_module() -> None:
    problems = []
    for module in modules().values():
        if module.room == "spark_internals":
            continue
        for node in ast.walk(module.tree):
            name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", None)
            if name in SPARK_INTERNALS:
                problems.append(f"{place(module, node.lineno)}: {ast.unparse(node)}")
    check_none(problems)


def python(code: str) -> str:
    """What a fresh interpreter prints that runs `code` at the root of the repository."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_engine_imports_no_framework() -> None:
    slow = sorted(FRAMEWORKS | SPARK | {"matplotlib", "mlflow"})
    loaded = python(f"import sys, engine; print([n for n in {slow!r} if n in sys.modules])")
    assert loaded.strip() == "[]"


def test_public_namespace_is_all_of_engine() -> None:
    code = """
import json, engine
named = engine.__all__
here = {n for n, thing in vars(engine).items()
        if not n.startswith("_") and getattr(thing, "__module__", "").startswith("engine")}
print(json.dumps({
    "named": len(named),
    "missing": [n for n in named if not hasattr(engine, n)],
    "twice": len(named) - len(set(named)),
    "not in __all__": sorted(here - set(named)),
    "not in dir()": sorted(set(named) - set(dir(engine))),
}))
"""
    found = json.loads(python(code))
    assert found.pop("named") > 0
    assert found == {"missing": [], "twice": 0, "not in __all__": [], "not in dir()": []}


def test_public_names_are_no_modules_even_when_all_modules_are_imported() -> None:
    # `import engine.run` would put the module in the place of the function of that name.
    names = sorted(set(modules()) - {"engine"})
    code = f"""
import importlib, types, engine
for name in {names!r}:
    importlib.import_module(name)
print([n for n in engine.__all__ if isinstance(getattr(engine, n), types.ModuleType)])
"""
    assert python(code).strip() == "[]"
