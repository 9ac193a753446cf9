"""A command's arguments, options and help, read from the function that it calls.

So a command is declared once: in `engine/commands/`, by a signature and a docstring. They are read
from the file: a command is imported, and Spark with it, when it runs, not when its help is asked.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any

import typer

import engine
from engine.cli.reporting import LogFormatOption, handle_errors
from engine.core.locations import DEFAULT_STORE

# What an option is called that has another name than its parameter, and what stands for a value.
_OPTIONS = {"command": "--exec", "overrides": "--set", "keys": "--key"}
_VALUES = {
    "act": "COMMAND",
    "address": "HOST:PORT",
    "cell": "CELL",
    "command": "CMD",
    "data": "TABLE",
    "cv": "K",
    "every": "SECONDS",
    "image": "IMAGE",
    "schedule": "CRON",
    "target": "TARGET",
    "template": "DIR",
    "timezone": "ZONE",
    "volume": "SIZE",
    "experiment_dir": "EXPERIMENT_DIR",
    "find": "FIND",
    "from_predictions": "COLUMN",
    "generate.out": "TABLE",
    "init.out": "SUITE.yml",
    "keys": "COLUMN=VALUE",
    "host": "HOST",
    "logs": "PATH",
    "model": "URI",
    "port": "PORT",
    "serve.model": "MODEL",
    "model_dir": "MODEL_DIR",
    "model_name": "NAME",
    "model_version": "VERSION",
    "models": "[URI]...",
    "name": "NAME",
    "promote.model": "MODEL[@ALIAS]",
    "history.model": "MODEL[@ALIAS]",
    "to": "ALIAS",
    "to_model": "MODEL",
    "max_age": "AGE",
    "undecided": "SHARE",
    "reason": "TEXT",
    "out": "DIR",
    "overrides": "KEY=VALUE",
    "recipe": "GENERATE.yml",
    "resume": "ID",
    "reference": "TABLE",
    "run": "ID|latest",
    "sagemaker": "ARN",
    "run_id": "ID",
    "store": "STORE",
    "since": "AGE|TIME",
    "suite": "SUITE.yml",
    "user": "NAME",
    "workers": "N|spark",
}
# Parameters of functions that a command line has no word for: it passes what it has itself.
_PASSED: dict[str, Any] = {"say": lambda line: typer.echo(str(line))}
_LEFT_OUT = frozenset({"spark", *_PASSED})

# Functions that are public by another name than their command: `engine.kinds` is a package.
_FUNCTIONS = {"kinds": "list_kinds", "metrics": "list_metrics"}

# The types of parameters, as they are written, and the one that a text of the command line becomes.
_TYPES: dict[str, Any] = {
    "Sequence[str]": list[str] | None,
    "bool": bool,
    "float": float,
    "float | None": float | None,
    "int | None": int | None,
    "int | str | None": str | None,
    "str": str,
    "str | None": str | None,
    "str | Path": Path,
    "str | Path | Mapping[str, Any]": Path,
    "str | Path | None": Path | None,
    "str | Path | Mapping[str, Any] | None": Path | None,
}

# What every command takes.
_LOG_FORMAT = Parameter(
    "log_format", Parameter.KEYWORD_ONLY, default=None, annotation=LogFormatOption
)

FileStep = Callable[[Path | None], None]


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a command is called, takes and says of itself; `load` imports what it calls."""

    name: str
    parameters: tuple[Parameter, ...]
    text: str
    load: Callable[[], Callable[..., Any]]


def read_declaration(name: str) -> Declaration:
    """The declaration of a public function, from its file in `engine/commands/`."""
    spec = find_spec(f"engine.commands.{name}")
    assert spec is not None and spec.origin is not None, "each command is a module"
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    public = _FUNCTIONS.get(name, name)
    function = next(node for node in functions if node.name == public)
    parameters = tuple(_read_parameters(function.args))
    text = ast.get_docstring(function) or ""
    # Errors come as they are raised: what may be told of them is told by `handle_errors`.
    return Declaration(name, parameters, text, lambda: inspect.unwrap(getattr(engine, public)))


def _read_parameters(arguments: ast.arguments) -> Iterator[Parameter]:
    missing = [None] * (len(arguments.args) - len(arguments.defaults))
    places = [
        (Parameter.POSITIONAL_OR_KEYWORD, arguments.args, [*missing, *arguments.defaults]),
        (Parameter.KEYWORD_ONLY, arguments.kwonlyargs, arguments.kw_defaults),
    ]
    for kind, named, defaults in places:
        for argument, default in zip(named, defaults, strict=True):
            annotation = ast.unparse(argument.annotation) if argument.annotation else "str"
            value = Parameter.empty if default is None else _value(default)
            yield Parameter(argument.arg, kind, default=value, annotation=annotation)


def _value(node: ast.expr) -> Any:
    """A default as it is written: a literal, or the name of the one constant."""
    is_store = isinstance(node, ast.Name) and node.id == "DEFAULT_STORE"
    return DEFAULT_STORE if is_store else ast.literal_eval(node)


def make_command(
    declaration: Declaration,
    show: Callable[..., int],
    before: Mapping[str, FileStep] | None = None,
) -> Any:
    """The command of a public function; `show` prints its result and gives the exit code.

    The keyword parameters of `show` are options of it as well, and so are the names in `before`:
    each takes a file, with which its function is called first.
    """
    asked, shown = dict(_options(declaration)), _own_options(show)
    first = {key: _file_option(key, step) for key, step in (before or {}).items()}
    names = {parameter.name for parameter in declaration.parameters}
    passed = {key: value for key, value in _PASSED.items() if key in names}

    def call(**given: Any) -> int:
        for key, step in (before or {}).items():
            step(given.pop(key))
        # It was looked at when it was read.
        given.pop(_LOG_FORMAT.name)
        options = {key: given.pop(key) for key in shown}
        arguments = {key: value for key, value in given.items() if value is not None}
        return show(declaration.load()(**arguments, **passed), **options)

    parameters = sorted(
        [*asked.values(), *first.values(), *shown.values(), _LOG_FORMAT],
        key=lambda parameter: parameter.default is not Parameter.empty,
    )
    command = handle_errors(call)
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__name__ = declaration.name
    program = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    program.command(declaration.name, help=_description(declaration.text))(command)
    return typer.main.get_command(program)


def summary(name: str) -> str:
    """The first line of a command's docstring."""
    return read_declaration(name).text.partition("\n")[0]


def _description(text: str) -> str:
    """A docstring as far as it is about the whole."""
    return re.split(r"\n(?:Args|Returns|Raises):\n", text)[0].strip()


def _options(declaration: Declaration) -> Iterator[tuple[str, Parameter]]:
    """The parameters as typer reads them: a type, a name on the command line, a help."""
    helps = _helps(declaration.text)
    for parameter in declaration.parameters:
        name = parameter.name
        if name in _LEFT_OUT:
            continue
        metavar = _VALUES.get(f"{declaration.name}.{name}", _VALUES.get(name))
        positional = parameter.kind is not Parameter.KEYWORD_ONLY
        if positional and name not in _OPTIONS and name != "store":
            info: Any = typer.Argument(metavar=metavar, help=helps.get(name))
        else:
            flag = _OPTIONS.get(name, "--" + name.replace("_", "-"))
            info = typer.Option(flag, metavar=metavar, help=helps.get(name))
        default = None if parameter.default == () else parameter.default
        kind = _TYPES[parameter.annotation]
        annotation: Any = Annotated[kind, info]
        yield name, Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _helps(text: str) -> dict[str, str]:
    """What the part `Args:` of a docstring says of each parameter."""
    part = re.search(r"^Args:\n((?:    .*\n?)+)", text, re.MULTILINE)
    entries = re.findall(
        r"^    (\w+): (.*\n?(?:     .*\n?)*)", part[1] if part else "", re.MULTILINE
    )
    return {name: _sentence(" ".join(words.split())) for name, words in entries}


def _sentence(text: str) -> str:
    first = text[:1] if text.startswith("`") else text[:1].upper()
    return (first + text[1:]).replace("`", "")


def _own_options(show: Callable[..., int]) -> dict[str, Parameter]:
    signature = inspect.signature(show, eval_str=True)
    return {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind is Parameter.KEYWORD_ONLY
    }


def _file_option(name: str, step: FileStep) -> Parameter:
    helps = list(_helps(inspect.getdoc(step) or "").values())
    info = typer.Option(f"--{name}", metavar="FILE", help=helps[0] if helps else None)
    kind = Annotated[Path | None, info]
    return Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=kind)
