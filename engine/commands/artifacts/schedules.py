"""A schedule of cron: the five fields checked, and as other schedulers write it."""

from __future__ import annotations

import re

from engine.errors import InputError

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_PART = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/(\d{1,2}))?", re.ASCII)
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def check_schedule(text: str) -> str:
    """A schedule with single blanks.

    Raises:
        InputError: when it is none.
    """
    fields = text.split()
    if len(fields) != len(_RANGES) or not all(map(_fits, fields, _RANGES)):
        raise InputError(
            f"found --schedule {text!r}, expected the five fields of cron in numbers, such as "
            "'0 3 * * *' for each day at 3"
        )
    return " ".join(fields)


def _fits(field: str, limits: tuple[int, int]) -> bool:
    low, high = limits
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None or int(match[3] or 1) == 0:
            return False
        first, last = (None if number is None else int(number) for number in match.group(1, 2))
        if first is not None and not low <= first <= (high if last is None else last) <= high:
            return False
    return True


def calendars(schedule: str) -> list[str]:
    """The same times as `OnCalendar=` of systemd: two where a day of the month or of the week fits.

    >>> calendars("*/15 3 * * 1-5"), calendars("0 3 1 * 0")
    (['Mon,Tue,Wed,Thu,Fri *-*-* 3:0/15:00'], ['*-*-1 3:0:00', 'Sun *-*-* 3:0:00'])
    """
    minute, hour, day, month, weekday = schedule.split()
    time = f"{_values(hour, 0)}:{_values(minute, 0)}:00"
    by_day = f"*-{_values(month, 1)}-{_values(day, 1)} {time}"
    if weekday == "*":
        return [by_day]
    by_weekday = f"{_weekdays(weekday)} *-{_values(month, 1)}-* {time}"
    return [by_weekday] if day == "*" else [by_day, by_weekday]


def _values(field: str, low: int) -> str:
    parts = (part.replace("-", "..") for part in field.split(","))
    return ",".join(re.sub(r"^\*/", f"{low}/", part) for part in parts)


def _weekdays(field: str) -> str:
    """Days of the week, of which systemd knows no steps: each by its name."""
    days: list[int] = []
    for part in field.split(","):
        match = _PART.fullmatch(part)
        assert match is not None, "it was checked"
        if "-" not in part and "/" not in part and match[1] is not None:
            days.append(int(match[1]))
            continue
        first = int(match[1] or 0)
        last = int(match[2]) if match[2] else 6
        days += range(first, last + 1, int(match[3] or 1))
    return ",".join(dict.fromkeys(_DAYS[day] for day in days))


def quartz(schedule: str) -> str:
    """The same times for Quartz, which counts days of the week from 1, and has one of both days.

    >>> quartz("0 3 * * *"), quartz("30 6 * * 1-5")
    ('0 0 3 * * ?', '0 30 6 ? * Mon,Tue,Wed,Thu,Fri')

    Raises:
        InputError: when it has a day of the month and a day of the week.
    """
    minute, hour, day, month, weekday = schedule.split()
    if weekday == "*":
        return f"0 {minute} {hour} {day} {month} ?"
    if day != "*":
        raise InputError(
            f"found --schedule {schedule!r} with a day of the month and one of the week, expected "
            "one of both: Quartz, which Databricks uses, knows no other"
        )
    return f"0 {minute} {hour} ? {month} {_weekdays(weekday)}"
