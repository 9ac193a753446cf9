"""Filters by which a value stands in a file: quoted, so that it cannot break out of its place."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from typing import Any

import yaml

# What YAML 1.1 and 1.2 both read as the text that it is.
_PLAIN = re.compile(r"[A-Za-z/][\w./-]*", re.ASCII)
_NO_TEXT = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_WIDTH = 10**6


def to_yaml(value: Any) -> str:
    """A value as a YAML scalar or flow sequence on one line."""
    if isinstance(value, str):
        if _PLAIN.fullmatch(value) and value.lower() not in _NO_TEXT:
            return value
        text: str = yaml.safe_dump(value, default_style='"', width=_WIDTH, allow_unicode=True)
        return text.strip()
    if isinstance(value, Iterable):
        return f"[{', '.join(map(to_yaml, value))}]"
    return json.dumps(value)


def to_comment(value: object) -> str:
    """A value in a comment: one line, without what would end the comment or begin an expression."""
    text = _UNPRINTABLE.sub(" ", str(value))
    return re.sub(r"[${}<>*\\`%]", "_", text).strip()


def to_python(value: object) -> str:
    """A value as a literal of Python, in ASCII."""
    return ascii(value)


def to_shell(value: object) -> str:
    """A value as one word of a shell."""
    return shlex.quote(str(value))


def to_words(values: Iterable[object]) -> str:
    """Values as words of a shell, each behind a blank."""
    return "".join(f" {shlex.quote(str(value))}" for value in values)


def to_hcl(value: str) -> str:
    """A text as one of Terraform's."""
    return json.dumps(value).replace("${", "$${").replace("%{", "%%{")


def to_groovy(value: str) -> str:
    """A text as one of Groovy's, in which nothing is replaced."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def to_systemd(value: str) -> str:
    """A text as one word of a unit's command line."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped.replace("$", "$$")}"'


FILTERS = {
    "yaml": to_yaml,
    "comment": to_comment,
    "python": to_python,
    "shell": to_shell,
    "words": to_words,
    "hcl": to_hcl,
    "groovy": to_groovy,
    "systemd": to_systemd,
}
