"""Holds the packages of `engine` where they belong: who may import whom, and what from outside.

`PACKAGES` is the whole of the rules, from the bottom up: a package imports only from those above
its line here, and from outside only what stands beside it. A new package is one line, at the place
where it belongs.
"""

from __future__ import annotations

import ast
import graphlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 400
MAX_ENTRIES = 24

FRAMEWORKS = frozenset({"keras", "sklearn", "tensorflow", "torch"})
ARRAYS = frozenset({"numpy", "pandas", "pyarrow"})
SPARK = frozenset({"delta", "pyspark"})
NOTHING: frozenset[str] = frozenset()

# From the bottom up, with what each may import beside the standard library.
PACKAGES: dict[str, frozenset[str]] = {
    "_version": NOTHING,
    "errors": NOTHING,
    "statistics": frozenset({"numpy", "scipy"}),
    "core": NOTHING,
    "delta": frozenset({"deltalake", "pyarrow"}),
    "states": frozenset({"numpy", "pyarrow"}),
    "pieces": frozenset({"deltalake", "numpy", "pyarrow", "sqlglot"}),
    "metrics": frozenset({"numpy"}),
    "fields": frozenset({"pydantic", "pydantic_core"}),
    "serving": frozenset({"numpy", "pyarrow", "requests"}),
    "conditions": frozenset({"numpy", "pydantic"}),
    "kinds": frozenset({"numpy", "pyarrow", "pydantic", "sklearn", "threadpoolctl"}),
    "spark": SPARK | ARRAYS,
    "models": ARRAYS
    | FRAMEWORKS
    | {"cloudpickle", "mlflow", "model_signing", "scipy", "skops", "yaml"},
    "suite": frozenset({"pydantic", "pydantic_core", "yaml"}),
    "training": ARRAYS
    | FRAMEWORKS
    | {"cloudpickle", "mlflow", "optuna", "pydantic", "scipy", "threadpoolctl", "yaml"},
    "data": SPARK
    | ARRAYS
    | {"deltalake", "presidio_analyzer", "pydantic", "scipy", "stdnum", "yaml"},
    "planning": SPARK | ARRAYS | {"pydantic"},
    "store": SPARK | ARRAYS,
    "evaluation": frozenset({"numpy"}),
    "lifecycle": frozenset({"boto3", "mlflow", "pyarrow", "pydantic"}),
    "sinks": ARRAYS
    | {
        "jinja2",
        "markdown_it",
        "markupsafe",
        "matplotlib",
        "mlflow",
        "openlineage",
        "opentelemetry",
        "prometheus_client",
        "requests",
        "rich",
        "yaml",
    },
    "execution": SPARK | ARRAYS | {"cloudpickle"},
    "commands": SPARK | ARRAYS | {"mlflow", "pydantic", "rich", "ruamel", "sklearn", "yaml"},
    "engine": NOTHING,
    "cli": frozenset({"pyspark", "rich", "typer"}),
}

# Parts of a package that know less than the whole: what a worker runs knows no Spark.
STRICTER: dict[str, frozenset[str]] = {
    "engine.commands.artifacts": frozenset({"jinja2", "yaml"}),
    "engine.commands.authoring": frozenset({"ruamel", "yaml"}),
    "engine.execution.kernel": ARRAYS,
    "engine.planning.slices": ARRAYS,
    "engine.planning.plan": frozenset({"numpy", "pydantic"}),
    "engine.sinks.format": NOTHING,
    "engine.sinks.junit": NOTHING,
    "engine.sinks.github": NOTHING,
    "engine.sinks.telemetry.delivery": NOTHING,
    "engine.sinks.report": frozenset({"jinja2", "markupsafe", "matplotlib", "numpy"}),
}

# What a package may import inside a function: what not every user has, or what is slow to import.
LAZY: dict[str, frozenset[str]] = {
    # Every suite knows the kind `endpoint`; few ask one.
    "serving": frozenset({"requests"}),
    "kinds": frozenset({"sklearn", "threadpoolctl"}),
    # Predicates are read where a suite has any.
    "planning": frozenset({"engine"}),
    "models": FRAMEWORKS | {"engine", "mlflow", "model_signing", "skops"},
    # The same; and who looks for personal columns may have them.
    "data": frozenset({"engine", "presidio_analyzer", "stdnum"}),
    # Spark's road is imported where it is taken: on this machine few commands take it.
    "spark": SPARK | {"engine"},
    "store": frozenset({"engine"}),
    # What telemetry takes is imported where a suite asks for it.
    "sinks": frozenset({"engine", "markdown_it", "matplotlib", "mlflow", "requests"}),
    # Who approves in SageMaker has it; its pins are not ours.
    "lifecycle": frozenset({"boto3"}),
    # A mistake in a suite is told before all that a run takes is imported.
    "commands": SPARK | {"mlflow", "engine"},
    # A mistake in a config is told before scipy's distributions are imported, which take a second;
    # what rests on scikit-learn is imported by whoever has it.
    "training": FRAMEWORKS | {"engine", "mlflow", "optuna", "scipy", "threadpoolctl"},
    # `evalmatrix --help` must not wait for Spark.
    "cli": frozenset({"engine", "pyspark"}),
}

# Who may import by a name that they are given: users' modules, the lazy namespace, and PySpark's
# modules on first use. The look at a worker names its modules in strings, since it is shipped by
# its code.
BY_NAME = frozenset(
    {"engine", "engine.core.registry", "engine.execution.workers", "engine.spark.api"}
)

# The JVM and the RDD are out of reach on Spark Connect: one module may try them, with a fallback.
SPARK_INTERNALS = frozenset(
    {"sparkContext", "SparkContext", "rdd", "_jvm", "_jdf", "_jsc", "_jsparkSession"}
)


# A function that does something is called by a verb, one that gives something by a noun: never by a
# participle alone, or one with what belongs to it (`told_of_waiting`).
PARTICIPLE = re.compile(
    r"\w+(ed|ing)|found|made|told|kept|seen|begun|taken|given|written|lost|left|held|known|shown"
    r"|drawn|chosen|built|sent|spent|done|gone|met|meant|hidden|broken|grown"
)
BELONGS = frozenset(
    ["anew", "as", "at", "by", "for", "from", "how", "in", "of", "on", "out", "to", "up", "with"]
)
# Nouns and verbs that end like one.
NO_PARTICIPLES = frozenset(
    {"feed", "finding", "heading", "listing", "mapping", "need", "nothing", "ranking", "reading",
     "sampling", "seed", "setting", "speed", "string", "timing", "warning", "wording"}
)  # fmt: skip
KEPT_NAMES = {
    "of": "how a state, or a view of states, is made: `Scores.of(batch)`",
    "expected": "`raise expected(...)`: what a value of the suite should have been",
    "held_out_metrics": "a noun, of rows that are held out",
    "redacted": "a decorator and the manager of a block: what is under it is redacted",
    "reused": "a number of a plan beside `predictions`, public",
}
# Names that say nothing of what they hold.
VAGUE = frozenset({"each", "found", "made", "of"})


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
    def package(self) -> str:
        """`engine.states.codec` is of the package `states`."""
        return package_of(self.name)


def package_of(name: str) -> str:
    return f"{name}.".split(".")[1] or "engine"


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


def level(package: str) -> int:
    """The package's line in PACKAGES; one that is missing there stands above all others."""
    return list(PACKAGES).index(package) if package in PACKAGES else len(PACKAGES)


def is_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    )


@cache
def named() -> frozenset[str]:
    """The modules that a string may name."""
    return frozenset(modules()) - {"engine"}


@cache
def imports(name: str) -> tuple[Import, ...]:
    """Every import of a module: inside functions, under TYPE_CHECKING, named in a string."""
    module = modules()[name]

    def walk(node: ast.AST, at_top: bool, types_only: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import | ast.ImportFrom):
                for target in targets(module, child):
                    yield Import(child.lineno, target, at_top, types_only)
            if isinstance(child, ast.Constant) and child.value in named():
                # A module that is named in a string is imported by whoever gets the string.
                yield Import(child.lineno, child.value, True, types_only)
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, at_top and not inside, types_only or is_types_only(child))

    return tuple(walk(module.tree, True, False))


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


def test_every_package_has_its_line() -> None:
    packages = {module.package for module in modules().values()}
    assert packages == set(PACKAGES)
    assert set(STRICTER) <= set(modules())
    for package, lazy in LAZY.items():
        assert lazy <= PACKAGES[package] | {"engine"}, f"LAZY allows {package} more than PACKAGES"


def test_the_top_level_is_seen_at_a_glance() -> None:
    rooms = {
        path.relative_to(ROOT / "engine").parts[0]
        for path in (ROOT / "engine").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.parent != ROOT / "engine"
    }
    assert len(rooms) <= MAX_ENTRIES, sorted(rooms)


def test_packages_import_only_from_those_below() -> None:
    problems = []
    for module in modules().values():
        for found in imports(module.name):
            other = package_of(found.target)
            if is_ours(found.target) and level(other) > level(module.package):
                problems.append(
                    f"{place(module, found.line)}: {module.package!r} imports from {other!r}, "
                    "which lies above it"
                )
    check_none(problems)


def allowed_from_outside(module: Module) -> frozenset[str]:
    """What a module may import, by the nearest of the lines that are about it."""
    parts = module.name.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    stricter = next((STRICTER[name] for name in names if name in STRICTER), None)
    own = PACKAGES.get(module.package, NOTHING) if stricter is None else stricter
    return own | sys.stdlib_module_names | {"engine"}


def test_packages_import_from_outside_only_what_the_table_allows() -> None:
    problems = []
    for module in modules().values():
        allowed = allowed_from_outside(module)
        problems += [
            f"{place(module, found.line)}: {module.name!r} may not import {found.target!r}"
            for found in imports(module.name)
            if top(found.target) not in allowed
        ]
    check_none(problems)


def test_imports_inside_functions_are_of_what_not_every_user_has() -> None:
    problems = []
    for module in modules().values():
        allowed = LAZY.get(module.package, NOTHING)
        problems += [
            f"{place(module, found.line)}: {module.name!r} imports {found.target!r} inside a "
            "function; move it to the top of the module"
            for found in imports(module.name)
            if not found.at_top and top(found.target) not in allowed
        ]
    check_none(problems)


def test_spark_is_imported_at_no_modules_top() -> None:
    problems = [
        f"{place(module, found.line)}: {module.name!r} imports {found.target!r}; name it through "
        "engine.spark.api, or under TYPE_CHECKING"
        for module in modules().values()
        for found in imports(module.name)
        if found.at_top and not found.types_only and top(found.target) in SPARK
    ]
    check_none(problems)


def last_name(node: ast.AST) -> str:
    """`c` of `a.b.c`, and of `c`."""
    return str(getattr(node, "attr", getattr(node, "id", "")))


def test_imports_by_name_stay_where_they_are() -> None:
    problems = []
    for module in modules().values():
        if module.name not in BY_NAME:
            problems += [
                f"{place(module, node.lineno)}: {ast.unparse(node)}"
                for node in ast.walk(module.tree)
                if isinstance(node, ast.Call)
                and last_name(node.func).endswith(("import_module", "__import__"))
            ]
    check_none(problems)


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        module.name: {
            found.target
            for found in imports(module.name)
            if is_ours(found.target) and not found.types_only
        }
        for module in modules().values()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"import cycle: {' <- '.join(error.args[1])}")


def is_participle(name: str) -> bool:
    first, *rest = name.strip("_").split("_")
    alone = not rest or rest[0] in BELONGS
    return alone and first not in NO_PARTICIPLES and PARTICIPLE.fullmatch(first) is not None


def test_no_function_is_called_by_a_participle() -> None:
    problems = []
    for module in modules().values():
        problems += [
            f"{place(module, node.lineno)}: {node.name}"
            for node in ast.walk(module.tree)
            if isinstance(node, ast.FunctionDef)
            and (is_participle(node.name) or node.name == "of")
            and node.name not in KEPT_NAMES
        ]
    check_none(problems)


def test_parameters_and_locals_say_what_they_hold() -> None:
    problems = []
    for module in modules().values():
        fields = {
            id(field.target)
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ClassDef)
            for field in node.body
            if isinstance(field, ast.AnnAssign)
        }
        for node in ast.walk(module.tree):
            if id(node) in fields:
                continue
            name = node.arg if isinstance(node, ast.arg) else getattr(node, "id", None)
            bound = isinstance(node, ast.arg) or isinstance(getattr(node, "ctx", None), ast.Store)
            if bound and name in VAGUE:
                problems.append(f"{place(module, node.lineno)}: {name}")
    check_none(problems)


def test_modules_are_short() -> None:
    lengths = {
        str(module.path.relative_to(ROOT)): len(module.path.read_text("utf-8").splitlines())
        for module in modules().values()
    }
    assert {path: n for path, n in lengths.items() if n >= MAX_LINES} == {}


def test_spark_internals_stay_in_their_module() -> None:
    problems = []
    for module in modules().values():
        if module.name == "engine.spark.internals":
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


@pytest.fixture(scope="module")
def fresh() -> dict[str, Any]:
    """What a fresh interpreter has when it has imported more and more of `engine`."""
    slow = sorted(FRAMEWORKS | SPARK | {"matplotlib", "mlflow"})
    code = f"""
import sys, engine
loaded = [name for name in {slow!r} if name in sys.modules]
import engine.commands.evaluation_run
has_scipy = "scipy.stats" in sys.modules
import importlib, json, types
named = engine.__all__
here = {{n for n, thing in vars(engine).items()
        if not n.startswith("_") and getattr(thing, "__module__", "").startswith("engine")}}
public = {{
    "named": len(named),
    "missing": [n for n in named if not hasattr(engine, n)],
    "twice": len(named) - len(set(named)),
    "not in __all__": sorted(here - set(named)),
    "not in dir()": sorted(set(named) - set(dir(engine))),
}}
for name in {sorted(named())!r}:
    importlib.import_module(name)
are_modules = [n for n in named if isinstance(getattr(engine, n), types.ModuleType)]
print(json.dumps({{
    "loaded": loaded, "scipy.stats": has_scipy, "public": public, "modules": are_modules,
}}))
"""
    told: dict[str, Any] = json.loads(python(code).splitlines()[-1])
    return told


def test_importing_engine_imports_no_framework(fresh: dict[str, Any]) -> None:
    assert fresh["loaded"] == []


HEAVY = ("deltalake", "matplotlib", "mlflow", "pandas", "pyspark", "scipy.special", "sklearn",
         "sqlalchemy", "tensorflow", "torch")  # fmt: skip


def modules_of_commands(*commands: tuple[str, ...]) -> list[set[str]]:
    """Those of HEAVY that are imported when a command ends, whatever its exit code.

    One command after the other in one interpreter; the last when that has ended.
    """
    code = f"""
import atexit, json, sys
def tell():
    print("\\nHEAVY" + json.dumps([n for n in {HEAVY!r} if n in sys.modules]))
atexit.register(tell)
from engine.cli.app import main
for command in {commands!r}:
    sys.argv = ["evalmatrix", *command]
    try:
        main()
    except SystemExit:
        pass
    tell()
"""
    lines = [line for line in python(code).splitlines() if line.startswith("HEAVY")]
    assert len(lines) == len(commands) + 1
    return [set(json.loads(line.removeprefix("HEAVY"))) for line in lines]


def test_commands_import_what_they_take_and_no_more(tmp_path: Path) -> None:
    suite = tmp_path / "suite.yml"
    suite.write_text("name: a\nevaluatons: []\n")
    helped, run_helped, mistaken, results, _, explained = modules_of_commands(
        ("--help",),
        ("run", "--help"),
        ("run", str(suite)),
        ("results", "--store", str(tmp_path)),
        ("explain", "latest", "0", "--store", str(tmp_path)),
    )
    assert helped == run_helped == set()
    assert mistaken == set(), "a mistake in a suite"
    assert results <= {"deltalake", "pandas"}
    assert explained <= {"deltalake", "pandas", "scipy.special"}


def test_importing_a_run_imports_no_distributions_of_scipy(fresh: dict[str, Any]) -> None:
    # scipy.stats takes a second and more, in each command and in each worker.
    assert not fresh["scipy.stats"]


def test_public_namespace_is_all_of_engine(fresh: dict[str, Any]) -> None:
    public = dict(fresh["public"])
    assert public.pop("named") > 0
    assert public == {"missing": [], "twice": 0, "not in __all__": [], "not in dir()": []}


def test_public_names_are_no_modules_even_when_all_modules_are_imported(
    fresh: dict[str, Any],
) -> None:
    # `import engine.run` would put the module in the place of the function of that name.
    assert fresh["modules"] == []
