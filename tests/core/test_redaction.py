"""What is told of an error of a user's code: what stands in the code, and nothing of the data."""

from __future__ import annotations

import asyncio
import re
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.core import redaction
from engine.core.redaction import Told, redacted_message
from engine.errors import DataError, ModelError

CANARY = "CANARY-5f0e77"
WITHHELD = ", whose message may quote the data and is withheld"
SOURCE = Path(__file__).read_text(encoding="utf-8")
CODE = "\n".join([SOURCE, *redaction._WELL_KNOWN])


def raised(action: Callable[[], object]) -> BaseException:
    try:
        action()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def said(action: Callable[[], object]) -> str:
    """What is told, without the place."""
    text = redacted_message(raised(action))
    found = re.fullmatch(r"(.*) \(test_redaction\.py:[0-9]+\)", text, re.DOTALL)
    assert found is not None, text
    return found[1]


class WithText(Exception):
    """Makes its message itself."""

    def __init__(self, value: object) -> None:
        super().__init__(f"the row {value!r} cannot be read")


class WithStr(Exception):
    def __str__(self) -> str:
        return f"found {self.args[0]} where a number should be"


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError(CANARY)


class Odd(Exception):
    def __str__(self) -> str:
        raise SystemExit(CANARY)


def reading(value: object) -> None:
    """Raises with the value in the message."""
    try:
        float(value)  # type: ignore[arg-type]
    except ValueError as error:
        raise LookupError(f"no row of {value}") from error


def of_f_string(value: object) -> None:
    raise ValueError(f"expected an age below 150, found {value!r} in row {value:>20}")


def of_percent(value: object) -> None:
    template = "the age %20s is out of range"
    raise ValueError(template % value)


def of_names(value: object) -> None:
    raise ValueError("the age %(age)s is not known" % {"age": value})  # noqa: UP031


def of_format(value: object) -> None:
    template = "no such customer: {0!r:>10}, {who}"
    raise ValueError(template.format(value, who=value))


def of_template(value: object) -> None:
    raise ValueError(Template("cannot score $who or ${what}").substitute(who=value, what=value))


def of_sum(value: object) -> None:
    raise ValueError("cannot take " + str(value))


def of_frame(value: object) -> None:
    raise ValueError(f"bad rows:\n{pd.DataFrame({'name': [value, value], 'age': [1, 2]})}")


def of_key(value: object) -> None:
    raise KeyError(value)


def of_row(value: object) -> None:
    raise ValueError({"name": value, "age": 7}, [value])


def of_join(value: object) -> None:
    raise ValueError(", ".join([str(value), "other", str(value)]))


def of_upper(value: object) -> None:
    raise ValueError(f"what is {str(value).upper()} or {str(value)[::-1]}")


def of_group(value: object) -> None:
    raise ExceptionGroup(f"several rows, {value}", [ValueError(value), KeyError(value)])


def of_note(value: object) -> None:
    error = ValueError("see below")
    error.add_note(str(value))
    raise error


def of_warning(value: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.warn(f"what a row: {value}", stacklevel=1)


def of_exit(value: object) -> None:
    sys.exit(f"give up at {value}")


def of_class(value: object) -> None:
    raise type("".join(filter(str.isalnum, str(value))) or "x", (ValueError,), {})("not one of us")


def of_code(value: object) -> None:
    exec(f"raise ValueError({f'a row is {value}'!r})")


def of_numbers(value: object) -> None:
    np.array([str(value)]).astype(float)


def of_own(value: object) -> None:
    raise WithText(value)


def of_own_str(value: object) -> None:
    raise WithStr(value)


def of_assert(value: object) -> None:
    assert value is None, f"a value too many: {value}"


WAYS = [each for name, each in sorted(globals().items()) if name.startswith("of_")] + [reading]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@settings(max_examples=40)
@given(value=st.text(min_size=4, max_size=60))
@example(value=CANARY)
@example(value="7041776193")
@example(value='O\'Brien, "Ada"\n  of {where} 100%s')
def test_nothing_of_a_value_is_told(way: Callable[[object], None], value: str) -> None:
    try:
        error = raised(lambda: way(value))
    except AssertionError:
        return  # it is a number, which `reading` and `of_numbers` take
    if isinstance(error, AssertionError) and "nothing was raised" in str(error):
        return
    text = redacted_message(error)
    for shape in (value, value.upper(), value[::-1], repr(value)[1:-1], " ".join(value.split())):
        for at in range(len(shape) - 3):
            part = shape[at : at + 4]
            # What the code has as well tells nothing of the value.
            if part.strip() == part and any(map(str.isalnum, part)) and part not in CODE:
                assert part not in text


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (of_f_string, "ValueError: expected an age below 150, found … in row …"),
        (of_percent, "ValueError: the age … is out of range"),
        (of_names, "ValueError: the age … is not known"),
        (of_format, "ValueError: no such customer: …"),
        (of_template, "ValueError: cannot score …"),
        (of_sum, "ValueError: cannot take …"),
        (of_frame, "ValueError: bad rows: …"),
        (of_key, f"KeyError{WITHHELD}"),
        (of_row, f"ValueError{WITHHELD}"),
        (of_join, f"ValueError{WITHHELD}"),
        (of_group, "ExceptionGroup: several rows, …"),
        (of_note, "ValueError: see below"),
        (of_warning, "UserWarning: what a row: …"),
        (of_exit, "SystemExit: give up at …"),
        (of_class, "ValueError: not one of us"),
        (of_code, "ValueError: a row is …"),
        (of_numbers, "ValueError: could not convert string to float: …"),
        (of_own, "WithText: the row … cannot be read"),
        (of_own_str, "WithStr: found … where a number should be"),
        (of_assert, "AssertionError: a value too many: …"),
        (reading, "LookupError: no row of …"),
    ],
    ids=lambda of: getattr(of, "__name__", ""),
)
def test_what_the_code_says_is_told(way: Callable[[object], None], words: str) -> None:
    assert said(lambda: way(CANARY)) == words


def test_the_place_is_the_users_own_code() -> None:
    line = next(
        n for n, text in enumerate(SOURCE.splitlines(), 1) if "raise KeyError(value)" in text
    )
    assert redacted_message(raised(lambda: of_key(1))).endswith(f" (test_redaction.py:{line})")
    # Of an error inside pandas it is the line that asked pandas.
    frame = pd.DataFrame({"age": [1]})
    text = redacted_message(raised(lambda: frame[CANARY]))
    assert re.fullmatch(rf"KeyError{WITHHELD} \(test_redaction\.py:[0-9]+\)", text)


@pytest.mark.parametrize("kind", [Mute, Odd])
def test_an_error_that_cannot_say_anything(kind: type[Exception]) -> None:
    def action() -> None:
        raise kind

    assert said(action) == f"{kind.__name__}{WITHHELD}"


def test_an_error_without_a_message_has_its_type() -> None:
    def action() -> None:
        raise MemoryError

    assert said(action) == "MemoryError"
    assert said(lambda: asyncio.run(cancelled())) == "CancelledError"


async def cancelled() -> None:
    raise asyncio.CancelledError


def test_exit_codes_are_told_where_a_process_has_such() -> None:
    assert said(lambda: sys.exit(3)) == "SystemExit: 3"
    assert said(lambda: sys.exit(7041776193)) == f"SystemExit{WITHHELD}"


def test_a_message_of_one_word_is_withheld() -> None:
    """The code may compare with it, and a row have it."""

    def action() -> None:
        status = "divorced"
        raise ValueError(status)

    assert said(action) == f"ValueError{WITHHELD}"


def test_the_code_of_another_error_is_not_asked() -> None:
    def action() -> None:
        raise ValueError("found no age, for whatever reason".replace("age", CANARY))

    assert said(action) == f"ValueError{WITHHELD}"


def test_long_messages_are_cut() -> None:
    def action() -> None:
        raise ValueError("it goes on and on " * 100)

    text = said(action)
    assert text.endswith("...") and len(text) < 600


def test_our_own_errors_are_told_as_they_are() -> None:
    code = compile("def fail(text):\n    raise ModelError(text)", "engine/models/x.py", "exec")
    ours = types.ModuleType("engine.models.x")
    vars(ours)["ModelError"] = ModelError
    exec(code, vars(ours))
    assert redacted_message(_without_this_frame(lambda: ours.fail("v3 returned 7"))) == (
        "ModelError: v3 returned 7"
    )

    def theirs() -> None:
        raise DataError(CANARY)

    assert said(theirs) == f"DataError{WITHHELD}"


def _without_this_frame(action: Callable[[], Any]) -> BaseException:
    error = raised(action)
    trace = error.__traceback__
    while trace is not None and "test_redaction" in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    return error.with_traceback(trace)


def test_what_was_told_in_another_process_is_told_here() -> None:
    assert redacted_message(Told("ValueError: … (x.py:1)")) == "ValueError: … (x.py:1)"
