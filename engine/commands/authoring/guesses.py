"""Which column is the label, which the key, and what the task is, where nobody says so.

A guess is told with what it rests on; where several answers are as good, none is taken: the
candidates are named in the error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from engine.commands.authoring.wishes import Roles, Wishes
from engine.core.registry import did_you_mean
from engine.core.vocabulary import Label, TaskKind
from engine.data.table_profile import ColumnProfile, TableProfile
from engine.errors import DataError, InputError
from engine.models.look import ModelLook

_LABEL_NAMES = re.compile(
    r"(.*[_ .-])?(label|labels|target|truth|y|class|outcome|response)", re.IGNORECASE
)
_KEY_NAMES = re.compile(r"(.*[_ .-])?(id|key|uuid|guid)|.*Id", re.IGNORECASE)
WRITES = (TaskKind.BINARY, TaskKind.MULTICLASS, TaskKind.REGRESSION)
# Whole numbers of so many values may be classes as well as amounts.
_MOST_CLASSES = 20
_SHOWN = 12


def guess_roles(table: TableProfile, looks: Sequence[ModelLook], wishes: Wishes) -> Roles:
    """The roles of the columns, from what is said, and from the models and the table.

    Raises:
        DataError: when columns are missing, or none or several may be the label.
        InputError: when the task is not known, or does not fit the label or a model.
    """
    _check_columns(table, looks, wishes)
    told: list[str] = []
    label = wishes.label or _guess_label(table, looks, wishes, told.append)
    task = _guess_task(table.columns[label], looks, wishes, told.append)
    _check_task(table.columns[label], task, looks)
    key = wishes.key or _guess_key(table, looks, label, told.append)
    positive = _positive(table.columns[label], task, wishes)
    return Roles(label, task, tuple(key), positive, tuple(told))


def _check_columns(table: TableProfile, looks: Sequence[ModelLook], wishes: Wishes) -> None:
    """Refuses what the table lacks, all of it at once."""
    mistakes = []
    for look in looks:
        wanted = [name for name in look.features if name not in look.optional]
        lacking = [name for name in wanted if name not in table.columns]
        if lacking:
            hint = did_you_mean(lacking[0], table.columns)
            mistakes.append(
                f"model {look.uri!r} reads {_list(lacking)}, which the table lacks{hint}"
            )
    named = {
        "label": (wishes.label,), "key": wishes.key, "cluster": (wishes.cluster,),
        "weight": (wishes.weight,), "sensitive": wishes.sensitive,
        "from-predictions": wishes.stored_columns,
    }  # fmt: skip
    for option, columns in named.items():
        for name in columns:
            if name is not None and name not in table.columns:
                hint = did_you_mean(name, table.columns) or f"; it has {_list(table.columns)}"
                mistakes.append(f"--{option} is {name!r}, which the table lacks{hint}")
    if mistakes:
        raise DataError("\n  ".join(mistakes))


def _guess_label(
    table: TableProfile, looks: Sequence[ModelLook], wishes: Wishes, tell: Callable[[str], None]
) -> str:
    free = _free_columns(table, looks, wishes)
    fitting = [name for name in free if _may_be_label(table.columns[name], looks)]
    best = [name for name in fitting if not table.columns[name].is_unique] or fitting
    by_name = [name for name in best if _LABEL_NAMES.fullmatch(name)]
    whose = "no model reads" if looks else "has no other use"
    if len(best) == 1:
        tell(f"label: {best[0]!r}, the one column that {whose} and that may be one")
        return best[0]
    if len(by_name) == 1:
        tell(f"label: {by_name[0]!r}, by its name, of the columns that may be one: {_list(best)}")
        return by_name[0]
    if not best:
        rest = f"; the columns that no model reads are {_list(free)}" if free else ""
        raise DataError(
            f"no column of the table can be the label{rest}; expected one of true values, named by "
            "--label"
        )
    raise DataError(
        f"the label may be one of the columns {_list(by_name or best)}; say which by --label"
    )


def _free_columns(table: TableProfile, looks: Sequence[ModelLook], wishes: Wishes) -> list[str]:
    """The columns that have no use yet."""
    used = {name for look in looks for name in look.features}
    used |= {*wishes.key, *wishes.stored_columns, *wishes.sensitive}
    used |= {name for name in (wishes.cluster, wishes.weight) if name is not None}
    return [name for name in table.columns if name not in used]


def _may_be_label(column: ColumnProfile, looks: Sequence[ModelLook]) -> bool:
    """Whether a column's values may be what the models predict."""
    if column.kind in ("other", "time") or column.distinct < 2:
        return False
    if column.is_unique and _KEY_NAMES.fullmatch(column.name):
        return False
    if any(look.task is TaskKind.REGRESSION for look in looks):
        return column.is_number
    classes = [set(look.classes) for look in looks if look.classes]
    if classes:
        return bool(column.values) and all(set(column.levels) <= known for known in classes)
    return column.kind != "text" or bool(column.values)


def _guess_task(
    label: ColumnProfile, looks: Sequence[ModelLook], wishes: Wishes, tell: Callable[[str], None]
) -> TaskKind:
    if wishes.task is not None:
        return _read_task(wishes.task)
    known = {look.task: look for look in looks if look.task is not None}
    if len(known) > 1:
        each_text = ", ".join(f"{look.uri!r} is {task}" for task, look in known.items())
        raise InputError(f"the models are of several tasks: {each_text}; expected one")
    for task, look in known.items():
        if task is not None:
            tell(f"task: {task}, since {look.task_source}")
            return task
    values = f"the label {label.name!r} has {label.count_text} values"
    if label.distinct == 2:
        tell(f"task: binary, since {values}")
        return TaskKind.BINARY
    if label.kind in ("text", "boolean"):
        tell(f"task: multiclass, since {values}, which are {label.kind}")
        return TaskKind.MULTICLASS
    if label.distinct > _MOST_CLASSES and label.is_number:
        tell(f"task: regression, since {values}, which are numbers")
        return TaskKind.REGRESSION
    raise InputError(
        f"{values}, which may be classes or amounts; say --task multiclass or --task regression"
    )


def _read_task(text: str) -> TaskKind:
    names = [kind.value for kind in TaskKind]
    if text not in names:
        raise InputError(
            f"--task is {text!r}; expected one of {', '.join(names)}{did_you_mean(text, names)}"
        )
    return TaskKind(text)


def _check_task(label: ColumnProfile, task: TaskKind, looks: Sequence[ModelLook]) -> None:
    """Refuses a task that the label or a model contradicts."""
    named = f"the label {label.name!r}"
    if task not in WRITES:
        raise InputError(
            f"the task is {task.value}; expected {', '.join(WRITES[:-1])} or {WRITES[-1]}: write "
            "suites of others by hand (docs/suite.md)"
        )
    if label.nulls == label.rows:
        raise DataError(f"{named} has no value in {label.rows:,} rows")
    by_value = task is TaskKind.REGRESSION
    for look in looks:
        if look.task is not None and (look.task is TaskKind.REGRESSION) is not by_value:
            raise InputError(
                f"the task is {task.value}, and {look.task_source}: model {look.uri!r} is of the "
                f"task {look.task.value}"
            )
    if by_value and not label.is_number:
        raise DataError(f"the task is regression, and {named} is {label.type}; expected numbers")
    if by_value:
        return
    if label.distinct < 2:
        raise DataError(f"{named} has one value only; expected two classes or more")
    if not label.values and label.kind == "number":
        raise DataError(
            f"the task is {task.value}, and {named} has {label.count_text} different numbers; "
            "expected classes"
        )
    if task is TaskKind.BINARY and label.distinct > 2:
        raise DataError(
            f"the task is binary, and {named} has {label.count_text} values; expected 2"
        )
    for look in looks:
        strange = [value for value in label.levels if look.classes and value not in look.classes]
        if strange:
            raise DataError(
                f"{named} has the value {strange[0]!r}, and model {look.uri!r} has the classes "
                f"{_list(look.classes)}; expected a column of these, named by --label"
            )


def _guess_key(
    table: TableProfile, looks: Sequence[ModelLook], label: str, tell: Callable[[str], None]
) -> tuple[str, ...]:
    read = {name for look in looks for name in look.features}
    unique = [
        column.name
        for column in table.columns.values()
        if column.is_unique and column.name not in {*read, label}
    ]
    by_name = [name for name in unique if _KEY_NAMES.fullmatch(name)]
    if not unique:
        tell("key: none, since no column has a value of its own in each row; all columns count")
        return ()
    key = (by_name or unique)[0]
    others = [name for name in unique if name != key]
    beside = f"; {_list(others)} would do too" if others else ""
    tell(f"key: {key!r}, which has a value of its own in each of {table.rows:,} rows{beside}")
    return (key,)


def _positive(label: ColumnProfile, task: TaskKind, wishes: Wishes) -> Label | None:
    if wishes.positive_label is None:
        return None
    by_text = {str(value).lower(): value for value in label.levels}
    value: Label | None = by_text.get(wishes.positive_label.lower())
    if task is not TaskKind.BINARY or value is None:
        raise InputError(
            f"--positive-label is {wishes.positive_label!r}, the task {task.value} and the label's "
            f"values {_list(label.levels)}; expected one of the two of a binary task"
        )
    return value


def _list(values: Sequence[object] | object) -> str:
    """Values by repr, the first of many."""
    listed = [*values]  # type: ignore[misc]
    text = ", ".join(map(repr, listed[:_SHOWN]))
    return f"{text} and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else text
