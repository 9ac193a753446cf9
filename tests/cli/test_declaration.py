"""Each command is declared once: its options and its help are those of the function it calls."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import engine
from engine.cli.app import COMMANDS, app
from engine.cli.declaration import Declaration, make_command, read_declaration, summary

NOT_SHOWN = {"spark", "say"}
# What the command line adds, about how something is printed.
ADDED = {
    "audit": {"as_json"},
    "run": {"as_json"},
    "generate": {"as_json"},
    "results": {"format_"},
    "judge": {"as_json", "out"},
    "watch": {"as_json"},
    "card": {"as_json"},
    "promote": {"as_json"},
    "history": {"as_json"},
    "kinds": {"form"},
    "metrics": {"form"},
}
# Functions of other names than their commands: `engine.kinds` is a package.
FUNCTIONS = {"kinds": "list_kinds", "metrics": "list_metrics"}


def public(name: str) -> Any:
    return getattr(engine, FUNCTIONS.get(name, name))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_takes_what_its_function_takes(name: str) -> None:
    command = make_command(read_declaration(name), COMMANDS[name])
    asked = set(inspect.signature(public(name)).parameters) - NOT_SHOWN
    shown = {each.name for each in command.params} - {"help", "log_format"}
    assert shown == asked | ADDED.get(name, set())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_declaration_is_that_of_the_function(name: str) -> None:
    function = inspect.signature(public(name)).parameters
    assert read_declaration(name).parameters == tuple(function.values())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_its_help_from_the_docstring(name: str) -> None:
    assert summary(name) == inspect.getdoc(public(name)).split("\n")[0]
    shown = CliRunner().invoke(app, [name, "--help"]).stdout
    assert " ".join(summary(name).split()) in " ".join(shown.split())
    lacking = [
        each.name
        for each in make_command(read_declaration(name), COMMANDS[name]).params
        if not getattr(each, "help", None)
    ]
    assert lacking == []


def test_defaults_are_those_of_the_function() -> None:
    calls: list[dict[str, Any]] = []

    def maintain(*, store: str = "./here", days: float = 7, out: str | Path | None = None) -> int:
        """Counts.

        Args:
            store: where.
            days: how
                many.
            out: what for.
        """
        calls.append({"store": store, "days": days, "out": out})
        return 3

    def show(count: int, *, twice: bool = False) -> int:
        return 2 * count if twice else count

    parameters = tuple(inspect.signature(maintain).parameters.values())
    text = inspect.getdoc(maintain) or ""
    command = make_command(Declaration("maintain", parameters, text, lambda: maintain), show)
    asked = ([], ["--twice"], ["--store", "x", "--days", "0.5", "--out", "o"])
    assert [command.main(args, standalone_mode=False) for args in asked] == [3, 6, 3]
    assert calls == [
        {"store": "./here", "days": 7, "out": None},
        {"store": "./here", "days": 7, "out": None},
        {"store": "x", "days": 0.5, "out": Path("o")},
    ]
    assert [each.help for each in command.params[:3]] == ["Where.", "How many.", "What for."]


def test_help_imports_no_command() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\n"
        "from engine.cli.app import COMMANDS, app\n"
        "shown = CliRunner().invoke(app, ['--help']).stdout\n"
        "assert 'maintain' in shown and 'Expires states' in shown, shown\n"
        "for name in COMMANDS: assert not CliRunner().invoke(app, [name, '--help']).exit_code\n"
        "print([n for n in ('pyspark', 'mlflow', 'pandas', 'matplotlib', "
        "'numpy', 'pyarrow') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


@pytest.mark.parametrize("job", ["nightly", "train", "sync", "ingest", "watch", "promote"])
def test_a_job_tells_its_options(root: Path, job: str) -> None:
    command = [sys.executable, str(root / "jobs" / f"{job}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
    wanted = {
        "nightly": "--prepare FILE",
        "train": "--set",
        "sync": "--run",
        "ingest": "--format",
        "watch": "--model-version VERSION",
        "promote": "--rollback",
    }
    assert wanted[job] in " ".join(done.stdout.split())
    assert "--log-format" in done.stdout
