"""Dates, times and moments as files write them: read exactly, and written back as they were.

A spelling is read only where it can mean one thing. `03/04/2026` has two readings and is of the family `order`, as is
every date of that build: that another row shows `31/04` says nothing of this one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTH_NUMBERS = {spelled: n for n, name in enumerate(MONTHS, 1) for spelled in (name, name.upper())}

ISO_DATE = "YYYY-MM-DD"
ISO_MOMENT = "YYYY-MM-DDThh:mm:ss±hh:mm"

_YMD = re.compile(r"([0-9]{4})([-/.]?)([0-9]{2})\2([0-9]{2})")
_NAMED = re.compile(r"([0-9]{2})([- ]?)([A-Z][A-Za-z]{2})\2([0-9]{4})")
_NAMED_FIRST = re.compile(r"([A-Z][A-Za-z]{2}) ([0-9]{2}), ([0-9]{4})")
_ORDER = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})")
_CLOCK = r"([0-9]{2})(:?)([0-9]{2})(?:\4([0-9]{2})(?:[.,]([0-9]+))?)?"
_ZONE = r"( ?)(Z|z|UTC|GMT|[+-][0-9]{2}(?::?[0-9]{2})?)?"
_MOMENT = re.compile(rf"([0-9]{{4}}[-/.]?[0-9]{{2}}[-/.]?[0-9]{{2}})([Tt _-]){_CLOCK}{_ZONE}")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.]([0-9]+))?)?")
_MAIL = re.compile(
    r"([A-Z][a-z]{2}), ([0-9]{2}) ([A-Z][a-z]{2}) ([0-9]{4}) ([0-9]{2}):([0-9]{2}):([0-9]{2}) (GMT|[+-][0-9]{4})"
)


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a text is written. family: `date`, `order`, `moment` (with a zone), `local` (without), `time`, `fine` (a
    moment finer than microseconds); form: what all values of a field must share to be read as one type; detail: what
    `habit_of` needs to write a value as it was."""

    family: str
    form: str
    detail: str = ""


Moment = date | datetime | time
Read = tuple[Spelling, Moment | None]


def read_moment(text: str) -> Read | None:
    """The spelling of a text and what it means; None when it is no date or time at all, or one that no calendar has.

    A local moment comes without a zone, any other datetime in UTC.
    """
    if not 5 <= len(text) <= 40:
        return None
    try:
        return (_date(text) or _clock(text)) if len(text) < 16 else (_moment(text) or _mail(text))
    except (ValueError, OverflowError):
        return None


def _date(text: str) -> Read | None:
    if found := _YMD.fullmatch(text):
        year, mark, month, day = found.groups()
        meant = date(int(year), int(month), int(day))
        # Eight digits are a date only in the years that books are kept of: other numbers look so too.
        if not mark and not 1900 <= meant.year <= 2199:
            return None
        return Spelling("date", f"YYYY{mark}MM{mark}DD"), meant
    if found := _NAMED.fullmatch(text):
        day, mark, name, year = found.groups()
        month_form = "MON" if name.isupper() else "Mon"
        meant = date(int(year), _MONTH_NUMBERS.get(name, 0), int(day))
        return Spelling("date", f"DD{mark}{month_form}{mark}YYYY"), meant
    if found := _NAMED_FIRST.fullmatch(text):
        name, day, year = found.groups()
        month_form = "MON" if name.isupper() else "Mon"
        return Spelling("date", f"{month_form} DD, YYYY"), date(int(year), _MONTH_NUMBERS.get(name, 0), int(day))
    if found := _ORDER.fullmatch(text):
        return _ordered(*found.groups())
    return None


def _ordered(first: str, mark: str, second: str, year: str) -> Read | None:
    one, two = int(first), int(second)
    if not (1 <= one <= 31 and 1 <= two <= 31) or min(one, two) > 12:
        return None
    shows = "DMY" if one > 12 else "MDY" if two > 12 else "either"
    padded = "" if len(first) == len(second) == 2 else "?"
    return Spelling("order", f"{mark}{len(year)}{padded}", shows), None


def _clock(text: str) -> Read | None:
    if found := _TIME.fullmatch(text):
        hour, minute, second, fraction = found.groups()
        if fraction and len(fraction) > 6:
            return None
        micros = int((fraction or "").ljust(6, "0"))
        form = "hh:mm:ss" if second else "hh:mm"
        return Spelling("time", form, _written(fraction or "")), time(int(hour), int(minute), int(second or 0), micros)
    return _moment(text)


def _moment(text: str) -> Read | None:
    found = _MOMENT.fullmatch(text)
    if not found:
        return None
    day, between, hour, colon, minute, second, fraction, gap, zone = _parts(found)
    read = _date(day)
    if read is None or not isinstance(read[1], date) or (between in "_-" and colon and read[0].form == ISO_DATE):
        return None
    clock = f"hh{colon}mm{colon}ss" if second else f"hh{colon}mm"
    fine, detail = len(fraction or "") > 6, _written(fraction or "")
    form = f"{read[0].form}{between}{clock}{'' if ',' not in text else ',f'}"
    local = datetime.combine(
        read[1], time(int(hour), int(minute), int(second or 0), int((fraction or "").ljust(6, "0")[:6]))
    )
    if not zone:
        return (Spelling("fine", form), None) if fine else (Spelling("local", form, detail), local)
    offset, style = _zone(zone)
    if f"{form}{gap}{style}" == "YYYY-MM-DDThh:mm:ssZ":
        style = "±hh:mm"
    meant = local.replace(tzinfo=offset).astimezone(UTC)
    form = f"{form}{gap}{style}"
    return (Spelling("fine", form), None) if fine else (Spelling("moment", form, f"{detail}{zone}"), meant)


def _parts(found: re.Match[str]) -> tuple[str, ...]:
    return found.group(1, 2, 3, 4, 5, 6, 7, 8, 9)


def _zone(zone: str) -> tuple[timezone, str]:
    if zone in ("Z", "z", "UTC", "GMT"):
        return UTC, zone
    hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > 3 else 0
    if hours > 23 or minutes > 59:
        raise ValueError(zone)
    sign = -1 if zone[0] == "-" else 1
    style = {3: "±hh", 5: "±hhmm", 6: "±hh:mm"}[len(zone)]
    return timezone(sign * timedelta(hours=hours, minutes=minutes)), style


def _mail(text: str) -> Read | None:
    found = _MAIL.fullmatch(text)
    if not found:
        return None
    name, day, month, year, hour, minute, second, zone = found.groups()
    offset, style = _zone(zone)
    local = datetime(int(year), _MONTH_NUMBERS[month], int(day), int(hour), int(minute), int(second), tzinfo=offset)
    if DAYS[local.weekday()] != name:
        return None
    return Spelling("moment", f"DDD, DD Mon YYYY hh:mm:ss {style}", f"0{zone}"), local.astimezone(UTC)


def read_ordered(text: str, order: str) -> date | None:
    """A date whose order of day and month was declared, `DMY` or `MDY`; None for anything else and for years of two
    digits."""
    found = _ORDER.fullmatch(text)
    if not found or len(found.group(4)) != 4:
        return None
    first, second = int(found.group(1)), int(found.group(3))
    day, month = (first, second) if order == "DMY" else (second, first)
    try:
        return date(int(found.group(4)), month, day)
    except ValueError:
        return None


def write_moment(meant: Moment, form: str, detail: str) -> str:
    """The text that has this form and detail: what `read_moment` read, given a field's own spelling.

    A moment is given in UTC. detail: as `habit_of` gives it.
    """
    if form.startswith("DDD, "):
        return _write_mail(meant, form, detail)
    style, zone = _detail(detail)
    local = meant
    if isinstance(meant, datetime) and meant.tzinfo is not None:
        offset, _ = _zone(zone or "Z")
        local = meant.astimezone(offset)
        ending = form[form.index("mm") :].lstrip("m:s,f")
        form = form[: len(form) - len(ending)] + (" " if ending.startswith(" ") else "") + _zone_text(zone, ending)
    return _write(local, form, style)


def _zone_text(zone: str, style: str) -> str:
    return zone or {"±hh:mm": "Z", "±hhmm": "+0000", "±hh": "+00"}.get(style.strip(), style.strip())


def _written(fraction: str) -> str:
    """How many digits, and what their zeros say of the writer's habit: `a` all are zero, `g` the last three, `t` the
    last."""
    zeros = "a" if fraction and not fraction.strip("0") else "g" if fraction.endswith("000") else ""
    return f"{len(fraction)}{zeros or ('t' if fraction.endswith('0') else '')}"


@dataclass(frozen=True, slots=True)
class Habit:
    """How a field's moments are written back. detail: for `write_moment`; exact: whether every text comes back as it
    was; zones: how many there were."""

    detail: str
    exact: bool
    zones: int


def habit_of(details: Iterable[str]) -> Habit:
    """What the details of a field's texts have in common: a number of digits, with `?` where a fraction of zero is left
    out, `3+` where there are as many threes as it takes, nothing where there are as many digits as it takes."""
    parts = [_PARTS.fullmatch(one) for one in details]
    digits = {int(one.group(1)) for one in parts if one}
    zeros = {one.group(2) for one in parts if one}
    zones = {one.group(3) for one in parts if one}
    style, exact = "", zeros == {""}
    if len(digits) == 1:
        style, exact = str(max(digits)), True
    elif not exact and len(digits - {0}) == 1:
        style, exact = f"{max(digits)}?", "a" not in zeros
    elif not exact and digits <= {0, 3, 6}:
        style, exact = "3+", not zeros & {"a", "g"}
    zone = next(iter(zones)) if len(zones) == 1 else ""
    return Habit(style + zone, exact and len(zones) == 1, len(zones))


_PARTS = re.compile(r"([0-9])([agt]?)(.*)")


def _detail(detail: str) -> tuple[str, str]:
    found = re.fullmatch(r"([0-9][?+]?(?![0-9]))?(.*)", detail)
    assert found is not None
    return found.group(1) or "", found.group(2)


def _fraction(micros: int, style: str) -> str:
    """The digits behind the point, as `habit_of` says."""
    digits = f"{micros:06d}"
    if style == "3+":
        return "" if not micros else digits[:3] if digits.endswith("000") else digits
    if not style or (style.endswith("?") and not micros):
        return digits.rstrip("0")
    return digits[: int(style[0])]


def _write(local: Moment, form: str, style: str) -> str:
    text = form
    if isinstance(local, datetime | time):
        shown = _fraction(local.microsecond, style)
        point = "," if ",f" in text else "."
        text = text.replace(",f", "")
        text = text.replace("ss", f"{local.second:02d}{point if shown else ''}{shown}")
        text = re.sub("hh(:?)mm", lambda found: f"{local.hour:02d}{found.group(1)}{local.minute:02d}", text, count=1)
    if isinstance(local, date):
        text = text.replace("YYYY", f"{local.year:04d}").replace("DD", f"{local.day:02d}")
        text = text.replace("MM", f"{local.month:02d}")
        # Names last: what they bring in looks like none of the marks.
        name = MONTHS[local.month - 1]
        text = text.replace("Mon", name).replace("MON", name.upper())
    return text


def _write_mail(meant: Moment, form: str, detail: str) -> str:
    assert isinstance(meant, datetime)
    zone = _detail(detail)[1] or ("GMT" if form.endswith("GMT") else "+0000")
    local = meant.astimezone(_zone(zone)[0])
    return (
        f"{DAYS[local.weekday()]}, {local.day:02d} {MONTHS[local.month - 1]} {local.year:04d} {local:%H:%M:%S} {zone}"
    )
