"""Templates become files: those of the target, each of which a user may replace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import jinja2
import yaml

from engine._version import __version__
from engine.commands.artifacts.facts import Facts
from engine.commands.artifacts.filters import FILTERS
from engine.commands.artifacts.schedules import calendars, quartz
from engine.commands.artifacts.targets import TEMPLATES, Target
from engine.errors import EXIT_CODES, InputError

# As requirements.txt pins them.
SPARK_VERSION = "4.2.0"
DELTA_PACKAGE = "io.delta:delta-spark_4.2_2.13:4.4.0"

_ENDING = ".j2"
_SLUG = "SLUG"
_YAML = (".yml", ".yaml")


def render(target: Target, facts: Facts, template: Path | None = None) -> dict[str, str]:
    """The files of a target by their names, and what stands in them.

    A template that gives nothing makes no file.

    Args:
        target: the target.
        facts: what templates know of the suite.
        template: a folder of templates that take the place of those of the same name; others are
            further files.

    Raises:
        InputError: when a template is wrong, or gives no YAML where its name says so.
    """
    names = dict.fromkeys([*_names(target.templates), *(_own_names(template) if template else ())])
    environment = _environment(target, template)
    known = {
        **asdict(facts),
        "target": target.name,
        "version": __version__,
        "exit_codes": EXIT_CODES,
        "calendars": calendars(facts.schedule),
        "spark_version": SPARK_VERSION,
        "delta_package": DELTA_PACKAGE,
    }
    if target.name == "databricks":
        known["quartz"] = quartz(facts.schedule)
    files = {}
    for name in names:
        text = _render_one(environment, name, known)
        if text.strip():
            file = name.removesuffix(_ENDING).replace(_SLUG, facts.slug)
            _check_yaml(name, file, text)
            files[file] = text
    if target.ships:
        files["suite.yml"] = facts.suite_text
    return files


def _names(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob(f"*{_ENDING}")):
        if not path.name.startswith("_"):
            yield path.relative_to(folder).as_posix()


def _own_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise InputError(f"found --template {str(folder)!r}, expected a folder of templates")
    others = [path for path in folder.rglob("*") if path.is_file() and path.suffix != _ENDING]
    if others:
        raise InputError(
            f"found {others[0].relative_to(folder).as_posix()!r} among the templates of "
            f"{str(folder)!r}, expected names that end in '.j2'"
        )
    return list(_names(folder))


def _environment(target: Target, template: Path | None) -> jinja2.Environment:
    folders = [*([template] if template else []), target.templates, TEMPLATES]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders), undefined=jinja2.StrictUndefined,
        autoescape=False, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters.update(FILTERS)
    return environment


def _render_one(environment: jinja2.Environment, name: str, known: dict[str, object]) -> str:
    try:
        return environment.get_template(name).render(known)
    except jinja2.TemplateSyntaxError as error:
        raise InputError(
            f"the template {error.name!r}, line {error.lineno}: {error.message}"
        ) from None
    except jinja2.TemplateError as error:
        raise InputError(f"the template {name!r}: {error.message}") from None
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise InputError(f"the template {name!r}: {type(error).__name__}: {error}") from None


def _check_yaml(name: str, file: str, text: str) -> None:
    if not file.endswith(_YAML):
        return
    try:
        list(yaml.compose_all(text))
    except yaml.MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1} of its output" if error.problem_mark else ""
        raise InputError(f"the template {name!r} gives no YAML{place}: {error.problem}") from None
    except yaml.YAMLError:
        raise InputError(f"the template {name!r} gives no YAML") from None
