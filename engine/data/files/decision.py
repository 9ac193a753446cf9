"""The columns of a dataset of files and their types, from what is known of each file.

The same files, whatever their order, whenever they came, have the same types: a later file that
brings `01067` to a column of numbers makes it text for all of them, and one that brings `0.5` to a
column of whole numbers makes it one of numbers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from operator import or_

from engine.core.registry import did_you_mean
from engine.data.files.facts import Facts
from engine.data.files.listing import File
from engine.data.files.reading import Reading
from engine.data.files.values import (
    NOTHING,
    NUMBERS,
    Seen,
    guess,
    guess_without_marks,
    misfits,
    text_class,
)
from engine.errors import DataError

Schema = tuple[tuple[str, str], ...]

_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_FLOATS = ("float", "double")
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")
# MLflow's names of numbers.
_NUMBERS_WANTED = frozenset({"integer", "long", "float", "double"})

Known = Mapping[File, Facts]


def decide(known: Known, fmt: str, reading: Reading) -> Schema:
    """The columns of all files together, in the order of the first file, with their types.

    Raises:
        DataError: for files of other columns or of types that nothing holds both of, and for a
            type that the suite gives and that a column cannot have; it names file and column.
    """
    files = list(known)
    _check_names(known, files)
    names = [*known[files[0]].columns]
    own = {name.lower() for name in names}
    names += [name for name, _ in files[0].folders if name.lower() not in own]
    _check_given(reading.columns, names, fmt)
    kinds = []
    for name in names:
        kind = _of_csv(name, known, reading) if fmt == "csv" else _of_parquet(name, known)
        kinds.append((name, kind))
    return tuple(kinds)


def mark_columns(known: Known, schema: Schema) -> dict[str, str]:
    """The text columns that would have a type but for marks such as NA, each with that type."""
    kinds = {}
    for name, kind in schema:
        seen = all_classes(name, known)
        would_be = guess_without_marks(seen)
        if kind == "string" and would_be is not None:
            kinds[name] = would_be
    return kinds


def zero_columns(known: Known, schema: Schema) -> set[str]:
    """The text columns that are numbers but for leading zeros."""
    return {
        name
        for name, kind in schema
        if kind == "string"
        and (seen := all_classes(name, known)) & Seen.ZEROS
        and not seen & ~(NUMBERS | Seen.ZEROS)
    }


def _check_names(known: Known, files: Sequence[File]) -> None:
    """Refuses files that do not have the same columns."""
    first = files[0]
    expected = known[first].columns
    for file in files:
        columns = known[file].columns
        missing = [name for name in expected if name not in columns]
        extra = [name for name in columns if name not in expected]
        if missing or extra:
            raise DataError(
                f"{file.path!r} does not have the columns of {first.path!r}: missing {missing}, "
                f"unexpected {extra}; expected the same columns in every file"
            )
    for name, _ in first.folders:
        own = next((item for item in expected if item.lower() == name.lower()), name)
        if own != name:
            raise DataError(
                f"{first.path!r} has the column {own!r} and lies in a folder {name + '=...'!r}: "
                "names that differ by capitals only; rename one of them"
            )


def _check_given(given: Mapping[str, str], names: Iterable[str], fmt: str) -> None:
    known = list(names)
    lacking = [name for name in given if name not in known]
    if lacking:
        hint = did_you_mean(lacking[0], known)
        raise DataError(
            f"`columns` gives a type to {', '.join(map(repr, lacking))}, which the {fmt} files "
            f"lack{hint}; they have {', '.join(map(repr, known[:50]))}"
        )


def all_classes(name: str, known: Known) -> Seen:
    """What was seen of a column in all files, in the names of their folders too."""
    return reduce(or_, (file_classes(name, file, facts) for file, facts in known.items()), NOTHING)


def file_classes(name: str, file: File, facts: Facts) -> Seen:
    folder = text_class(dict(file.folders).get(name)) if facts.rows else NOTHING
    return Seen(dict(facts.seen).get(name, 0)) | folder


def _of_csv(name: str, known: Known, reading: Reading) -> str:
    seen = all_classes(name, known)
    given = reading.columns.get(name)
    if given is not None:
        wrong = misfits(seen, given)
        if wrong:
            raise _misfit(name, given, wrong, known)
        return given
    wanted = reading.wanted.get(name)
    if wanted == "string":
        return "string"
    if wanted in _NUMBERS_WANTED and seen & Seen.ZEROS and not seen & ~(NUMBERS | Seen.ZEROS):
        file = _first_with(name, Seen.ZEROS, known)
        raise DataError(
            f"{file.path!r}: the column {name!r} has numbers with a leading zero, which is text, "
            f"and a model's signature wants it as {wanted}; say `columns: {{{name}: bigint}}` "
            "where the zeros mean nothing, or let the model take text"
        )
    _check_alike(name, known)
    return guess(seen)


def _check_alike(name: str, known: Known) -> None:
    """Refuses a column that has a type in one file, and in another is text or of another type.

    Leading zeros and marks of missing values do not count, which make text of any file's numbers,
    nor do the names of folders, of which each file has one.
    """
    others = ~(Seen.ZEROS | Seen.MARK)
    plain = {file: Seen(dict(facts.seen).get(name, 0)) & others for file, facts in known.items()}
    typed_file = next((file for file, seen in plain.items() if guess(seen) != "string"), None)
    if typed_file is None:
        return
    one = guess(plain[typed_file])
    for file, seen in plain.items():
        if seen and guess(seen | plain[typed_file]) == "string":
            raise DataError(
                f"{file.path!r}: the column {name!r} is {guess(seen)}, and in {typed_file.path!r} "
                f"it is {one}; correct the file, or say `columns: {{{name}: string}}` where the "
                "column is text"
            )


def _misfit(name: str, kind: str, wrong: Seen, known: Known) -> DataError:
    file = _first_with(name, wrong, known)
    if not wrong & ~Seen.MARK:
        return DataError(
            f"{file.path!r}: the column {name!r} has a mark of a missing value, such as NA or -, "
            f"and `columns` says {kind}; name the mark in `null_values`"
        )
    what = _WORDS.get(next(bit for bit in Seen if bit & wrong), "texts")
    return DataError(
        f"{file.path!r}: the column {name!r} has {what}, and `columns` says {kind}; correct the "
        f"file, or say `columns: {{{name}: {guess(all_classes(name, known))}}}`"
    )


_WORDS = {
    Seen.INT: "whole numbers",
    Seen.LONG: "whole numbers beyond 32 bits",
    Seen.BIG: "whole numbers beyond 64 bits",
    Seen.DOUBLE: "numbers with a fraction",
    Seen.ZEROS: "numbers with a leading zero",
    Seen.BOOLEAN: "booleans",
    Seen.DATE: "dates",
    Seen.TIMESTAMP: "times",
}


def _first_with(name: str, seen: Seen, known: Known) -> File:
    return next(file for file, facts in known.items() if file_classes(name, file, facts) & seen)


def _of_parquet(name: str, known: Known) -> str:
    """The type that holds a column of every file, if only without loss."""
    whole: str | None = None
    first: File | None = None
    for file, facts in known.items():
        kind = dict(facts.types).get(name)
        if kind is None:
            continue
        common = kind if whole is None else common_type(whole, kind)
        if common is None:
            assert first is not None and whole is not None, "a file before it has the column"
            raise _two_types(name, (first, whole), (file, kind))
        if common != whole:
            whole, first = common, file
    if whole is None:
        return guess(all_classes(name, known))
    if whole in _FLOATS:
        for file, facts in known.items():
            if name in facts.wide:
                other = next(f for f in known if dict(known[f].types).get(name) in _FLOATS)
                kind = dict(known[other].types)[name]
                raise _two_types(name, (file, "bigint"), (other, kind))
    for file, facts in known.items():
        folder = text_class(dict(file.folders).get(name))
        if facts.rows and misfits(folder, whole):
            raise DataError(
                f"{file.path!r} lies in a folder for the column {name!r} whose value is no "
                f"{whole}, the column's type in the file"
            )
    return "string" if whole == "void" else whole


def _two_types(name: str, one: tuple[File, str], other: tuple[File, str]) -> DataError:
    remedy = f"df[{name!r}] = df[{name!r}].astype(...)"
    return DataError(
        f"{other[0].path!r}: the column {name!r} is {other[1]}, and in {one[0].path!r} it is "
        f"{one[1]}; expected one type; write one of the files anew, for example with {remedy} in "
        "pandas, or let the glob leave it out"
    )


def common_type(one: str, other: str) -> str | None:
    """The type that holds the values of both without loss; None where there is none.

    Of `bigint` and `double` it is `double`, for those files whose numbers have equal ones there.
    """
    if one == other or other == "void":
        return one
    if one == "void":
        return other
    kinds = {one, other}
    if kinds <= {*_INTEGERS}:
        return max(one, other, key=_INTEGERS.index)
    if kinds == {*_FLOATS}:
        return "double"
    if kinds <= {*_INTEGERS, *_FLOATS}:
        # A float has 24 bits for its digits.
        small = kinds <= {"tinyint", "smallint", "float"}
        return "float" if small else "double"
    one_decimal, other_decimal = _as_decimal(one), _as_decimal(other)
    if one_decimal and other_decimal:
        scale = max(one_decimal[1], other_decimal[1])
        whole = max(one_decimal[0] - one_decimal[1], other_decimal[0] - other_decimal[1])
        return f"decimal({whole + scale},{scale})" if whole + scale <= 38 else None
    return None


def _as_decimal(kind: str) -> tuple[int, int] | None:
    """Digits in all and behind the point of a type of exact numbers."""
    if match := _DECIMAL.fullmatch(kind):
        return int(match[1]), int(match[2])
    digits = dict(zip(_INTEGERS, (3, 5, 10, 19), strict=True)).get(kind)
    return None if digits is None else (digits, 0)
