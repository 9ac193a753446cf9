"""What is around the engine: the wheel, the pins, the commands of the Makefile, the workflows."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from engine._version import __version__

ROOT = Path(__file__).resolve().parent.parent
PREREQUISITES = ROOT / "infrastructure" / "prerequisites"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy of what it is made of."""
    source = tmp_path_factory.mktemp("source")
    for name in ("setup.py", "pyproject.toml", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "engine", source / "engine", ignore=shutil.ignore_patterns("__pycache__")
    )
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (source / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    name = f"evalmatrix-{__version__}.dist-info/METADATA"
    return message_from_string(wheel.read(name).decode())


def pins() -> dict[str, str]:
    """Every line of requirements.txt: the name, and what follows it."""
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    found = {}
    for line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            requirement = Requirement(line)
            found[canonicalize_name(requirement.name)] = str(requirement.specifier)
    return found


def script(path: Path, text: str) -> Path:
    """An executable bash script at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def prerequisites(what: str, tools: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the script where only bash, grep and what lies in `tools` can be found."""
    tools.mkdir(exist_ok=True)
    for name in ("bash", "grep"):
        if not (tools / name).exists():
            (tools / name).symlink_to(str(shutil.which(name)))
    command = [str(tools / "bash"), str(PREREQUISITES), what]
    return subprocess.run(
        command, env={"PATH": str(tools), **env}, capture_output=True, text=True, timeout=30
    )


# --- the wheel -------------------------------------------------------------------------------


def test_wheel_holds_every_file_of_the_engine_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    written = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "engine").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == written


def test_wheel_says_what_it_is(wheel: zipfile.ZipFile, metadata: Message) -> None:
    assert metadata["Name"] == "evalmatrix"
    assert metadata["Version"] == __version__
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert f"evalmatrix-{__version__}.dist-info/licenses/LICENSE" in wheel.namelist()
    assert "engine/py.typed" in wheel.namelist()


def test_wheel_brings_the_command(wheel: zipfile.ZipFile) -> None:
    entries = configparser.ConfigParser()
    entries.read_string(wheel.read(f"evalmatrix-{__version__}.dist-info/entry_points.txt").decode())
    assert dict(entries["console_scripts"]) == {"evalmatrix": "engine.cli.app:main"}
    tree = ast.parse(wheel.read("engine/cli/app.py").decode())
    named = {getattr(node, "name", None) for node in tree.body}
    assert "main" in named


def test_wheel_imports_without_the_repository(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import engine, engine._version;"
        "print(engine.__file__, engine._version.__version__)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(tmp_path / "engine" / "__init__.py"), __version__]


# --- requirements ----------------------------------------------------------------------------


def test_frameworks_and_spark_are_extras(metadata: Message) -> None:
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    core = {r.name for r in requirements if r.marker is None}
    assert not core & {"pyspark", "delta-spark", "mlflow", "scikit-learn", "tensorflow", "torch"}
    extras = set(metadata.get_all("Provides-Extra", []))
    assert extras == {
        "spark", "mlflow", "sklearn", "tensorflow", "torch", "search", "signing", "pii",
        "telemetry", "all",
    }  # fmt: skip
    of_all = {r.name for r in requirements if r.marker and r.marker.evaluate({"extra": "all"})}
    optional = {r.name for r in requirements if r.marker is not None}
    assert of_all - core == optional


def test_every_requirement_of_the_wheel_is_pinned_and_fits(metadata: Message) -> None:
    pinned = pins()
    for text in metadata.get_all("Requires-Dist", []):
        requirement = Requirement(text)
        version = pinned[canonicalize_name(requirement.name)].removeprefix("==")
        assert requirement.specifier.contains(version), f"{text}: pinned to {version}"


def test_every_requirement_is_pinned_to_one_version() -> None:
    loose = {name: rest for name, rest in pins().items() if not re.fullmatch(r"==[^*,]+", rest)}
    assert loose == {}


def test_requirements_txt_was_rebuilt_after_requirements_in() -> None:
    pinned = pins()
    for line in (ROOT / "requirements.in").read_text("utf-8").splitlines():
        text = line.partition("#")[0].strip()
        if text:
            requirement = Requirement(text)
            version = pinned[canonicalize_name(requirement.name)].removeprefix("==")
            assert requirement.specifier.contains(version), f"{text}: pinned to {version}"


def test_requirements_name_no_address_and_no_path() -> None:
    for name in ("requirements.in", "requirements.txt"):
        text = (ROOT / name).read_text("utf-8")
        assert not re.search(r"://|^\s*-|^\s*(/|\.\.?/)|@ ", text, re.MULTILINE), name


# --- what the machine must have --------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ('openjdk version "11.0.2" 2019-01-15', "found Java 11"),
        ('java version "1.8.0_392"', "found Java 8"),
        ("The operation could not be completed. Unable to locate a Java Runtime.", "found none"),
    ],
)
def test_java_that_is_no_use_is_one_line(tmp_path: Path, said: str, found: str) -> None:
    script(tmp_path / "tools" / "java", f"echo '{said}' >&2")
    done = prerequisites("java", tmp_path / "tools")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"evalmatrix: needs Java 17 or newer, {found} on the PATH;")
    assert "apt-get install openjdk-17-jre-headless" in line


def test_java_that_is_missing_is_one_line(tmp_path: Path) -> None:
    done = prerequisites("java", tmp_path / "tools")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1
    assert "found none on the PATH" in line


@pytest.mark.parametrize("version", ["17.0.15", "21", "25.0.1"])
def test_java_that_is_new_enough_is_silent(tmp_path: Path, version: str) -> None:
    script(tmp_path / "tools" / "java", f"""echo 'openjdk version "{version}" 2025-01-01' >&2""")
    done = prerequisites("java", tmp_path / "tools")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_java_home_goes_before_the_path(tmp_path: Path) -> None:
    script(tmp_path / "tools" / "java", """echo 'openjdk version "17.0.1"' >&2""")
    home = tmp_path / "old java"
    script(home / "bin" / "java", """echo 'openjdk version "11.0.1"' >&2""")
    done = prerequisites("java", tmp_path / "tools", JAVA_HOME=str(home))
    assert done.returncode == 1
    assert f"found Java 11 at JAVA_HOME ({home})" in done.stderr


def test_python_that_is_too_old_is_one_line(tmp_path: Path) -> None:
    old = '[[ "$1" == --version ]] && echo Python 3.9.18 && exit 0; exit 1'
    script(tmp_path / "tools" / "python3", old)
    done = prerequisites("python", tmp_path / "tools")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("evalmatrix: needs Python 3.11, 3.12 or 3.13, found Python 3.9.18;")


def test_python_that_fits_is_found_behind_an_old_one(tmp_path: Path) -> None:
    script(tmp_path / "tools" / "python3", "exit 1")
    fitting = script(tmp_path / "tools" / "python3.11", f'exec "{sys.executable}" "$@"')
    done = prerequisites("python", tmp_path / "tools")
    assert (done.returncode, done.stdout.strip()) == (0, str(fitting))


# --- the commands ----------------------------------------------------------------------------


def make(*args: str, **variables: str) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    env |= variables
    done = subprocess.run(
        ["make", "--no-print-directory", *args],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def targets() -> set[str]:
    return set(re.findall(r"^make (\S+) ", make("help"), re.MULTILINE))


def test_help_lists_the_commands() -> None:
    named = {"nightly", "test", "unit", "lint", "bench", "docs", "clean", "setup"}
    assert named <= targets()


def test_the_tests_check_java_first() -> None:
    assert make("--dry-run", "test").splitlines()[0] == "infrastructure/prerequisites java"


def test_the_nightly_job_runs_without_java() -> None:
    steps = make("--dry-run", "nightly", JAVA_HOME="/nonexistent").splitlines()
    assert "jobs/nightly.py conf/nightly.yml" in steps[-1]
    assert not [step for step in steps if "warmup" in step]


def test_scripts_are_executable_bash() -> None:
    for path in (ROOT / ".ci" / "run", PREREQUISITES):
        assert os.access(path, os.X_OK), path
        done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def workflow(path: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / path).read_text("utf-8"))
    return loaded


def scripts(path: str) -> list[str]:
    jobs = workflow(path)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def test_ci_calls_the_two_commands_and_they_exist() -> None:
    called = re.findall(r"\bmake (\w+)", "\n".join(scripts(".github/workflows/ci.yml")))
    assert {"nightly", "test"} <= set(called) <= targets()


@pytest.mark.parametrize("path", [".github/workflows/ci.yml", "infrastructure/github/nightly.yml"])
def test_scripts_of_workflows_are_correct_bash(path: str) -> None:
    assert scripts(path)
    for text in scripts(path):
        plain = re.sub(r"\$\{\{.*?\}\}", "expression", text)
        done = subprocess.run(["bash", "-n"], input=plain, capture_output=True, text=True)
        assert done.returncode == 0, f"{text}\n{done.stderr}"


def test_image_copies_only_what_is_there_and_let_through() -> None:
    text = (ROOT / "infrastructure" / "docker" / "Dockerfile").read_text("utf-8")
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for name in line.split()[:-1]
    }
    let_through = set(re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert copied == let_through
    assert [name for name in sorted(copied) if not (ROOT / name).exists()] == []


# --- the documents ---------------------------------------------------------------------------


def test_check_of_the_documents_finds_mistakes(tmp_path: Path) -> None:
    check = load_check()
    (tmp_path / "other.md").write_text("# A heading, and `code`\n", encoding="utf-8")
    (tmp_path / "page.md").write_text(
        "[good](other.md#a-heading-and-code) `[not a link](nowhere)` [out](https://example.org/x)\n"
        "[gone](gone.md)\n"
        "[no such heading](other.md#b)\n"
        "```yaml suite\n"
        "nmae: nightly\n"
        "```\n"
        "```\n"
        "[in code](gone.md)\n"
        "```\n",
        encoding="utf-8",
    )
    found = list(check.mistakes(tmp_path))
    assert [line.split(": ")[0] for line in found] == ["page.md:2", "page.md:3", "page.md:4"]
    assert "nmae" in found[2]


def test_documents_have_no_mistakes() -> None:
    assert list(load_check().mistakes(ROOT)) == []


def load_check() -> Any:
    """The module docs/check.py, which is no part of a package."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("docs_check", ROOT / "docs" / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
