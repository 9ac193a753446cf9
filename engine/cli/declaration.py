"""A command's arguments, options and help, read from the function that it calls.

So a command is declared once: in `engine/commands/`, by a signature and a docstring.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from inspect import Parameter, Signature
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import typer

import engine
from engine.cli.reporting import handle_errors

# What an option is called that has another name than its parameter, and what stands for a value.
_OPTIONS = {"overrides": "--set", "keys": "--key"}
_VALUES = {
    "cell": "CELL",
    "keys": "COLUMN=VALUE",
    "model_dir": "MODEL_DIR",
    "out": "DIR",
    "overrides": "KEY=VALUE",
    "resume": "ID",
    "run": "ID|latest",
    "run_id": "ID",
    "store": "STORE",
    "suite": "SUITE.yml",
}
# Parameters of functions that a command line has no word for: it passes what it has itself.
_PASSED: dict[str, Any] = {"say": lambda line: typer.echo(str(line))}
_LEFT_OUT = frozenset({"spark", *_PASSED})

FileStep = Callable[[Path | None], None]


def make_command(
    name: str, show: Callable[..., int], before: Mapping[str, FileStep] | None = None
) -> Any:
    """The command of a public function; `show` prints its result and gives the exit code.

    The keyword parameters of `show` are options of it as well, and so are the names in `before`:
    each takes a file, with which its function is called first.
    """
    # Errors come as they are raised: what may be told of them is told by `handle_errors`.
    function = inspect.unwrap(getattr(engine, name))
    asked, shown = dict(_parameters(function)), _own_options(show)
    first = {key: _file_option(key, step) for key, step in (before or {}).items()}
    passed = {key: _PASSED[key] for key in inspect.signature(function).parameters if key in _PASSED}

    def call(**given: Any) -> int:
        for key, step in (before or {}).items():
            step(given.pop(key))
        options = {key: given.pop(key) for key in shown}
        arguments = {key: value for key, value in given.items() if value is not None}
        return show(function(**arguments, **passed), **options)

    parameters = sorted(
        [*asked.values(), *first.values(), *shown.values()],
        key=lambda parameter: parameter.default is not Parameter.empty,
    )
    command = handle_errors(call)
    command.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__name__ = name
    program = typer.Typer(
        add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
    )
    program.command(name, help=_description(function))(command)
    return typer.main.get_command(program)


def summary(name: str) -> str:
    """The first line of a command's docstring, without importing it and what it needs."""
    spec = find_spec(f"engine.commands.{name}")
    assert spec is not None and spec.origin is not None, "each command is a module"
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    function = next(node for node in functions if node.name == name)
    return (ast.get_docstring(function) or "").partition("\n")[0]


def _description(function: Callable[..., Any]) -> str:
    """A docstring as far as it is about the whole."""
    return re.split(r"\n(?:Args|Returns|Raises):\n", inspect.getdoc(function) or "")[0].strip()


def _parameters(function: Callable[..., Any]) -> Iterator[tuple[str, Parameter]]:
    """A function's parameters as typer reads them: a type, a name on the command line, a help."""
    helps = _helps(inspect.getdoc(function) or "")
    for name, parameter in inspect.signature(function).parameters.items():
        if name in _LEFT_OUT:
            continue
        positional = parameter.kind is not Parameter.KEYWORD_ONLY
        if positional and name not in _OPTIONS and name != "store":
            info: Any = typer.Argument(metavar=_VALUES.get(name), help=helps.get(name))
        else:
            flag = _OPTIONS.get(name, "--" + name.replace("_", "-"))
            info = typer.Option(flag, metavar=_VALUES.get(name), help=helps.get(name))
        kind = _plain_type(_type(parameter, function))
        default = None if parameter.default == () else parameter.default
        yield (
            name,
            Parameter(
                name, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
            ),
        )


def _helps(text: str) -> dict[str, str]:
    """What the part `Args:` of a docstring says of each parameter."""
    part = re.search(r"^Args:\n((?:    .*\n?)+)", text, re.MULTILINE)
    entries = re.findall(
        r"^    (\w+): (.*\n?(?:     .*\n?)*)", part[1] if part else "", re.MULTILINE
    )
    return {name: _sentence(" ".join(words.split())) for name, words in entries}


def _sentence(text: str) -> str:
    text = text.replace("`", "")
    return text[:1].upper() + text[1:]


def _type(parameter: Parameter, function: Callable[..., Any]) -> Any:
    kind = parameter.annotation
    return eval(kind, function.__globals__) if isinstance(kind, str) else kind


def _plain_type(kind: Any) -> Any:
    """The one type that a text of the command line becomes."""
    if get_origin(kind) is Sequence or kind is Sequence:
        return list[str] | None
    choices = get_args(kind)
    if Path in choices:
        return Path | None if NoneType in choices else Path
    return kind


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
