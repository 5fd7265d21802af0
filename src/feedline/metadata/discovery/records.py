"""Documents as records of a discovered schema, and back.

Where a document has a value as Avro does not (a key that is no name, a date written 31-Jan-2026, an object whose keys
are data, values of several kinds in one field), the schema says so by an attribute; what is here acts on it. Both
ways are exact, and what does not fit is refused with its path.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import orjson

from feedline.batch.avro_program import BOOLEAN, DECIMAL, DOUBLE, ENUM, FLOAT, INT, LONG, STRING, Node
from feedline.batch.value_checks import LEAF_CHECKS, Misfit, found_in, shortened
from feedline.errors import SchemaMismatchError
from feedline.metadata.discovery.decide import FORM, FORMAT, KINDS, LEFT_OUT, ORIGINAL, SPELLING
from feedline.metadata.discovery.moments import ISO_DATE, ISO_MOMENT, read_moment, read_ordered, write_moment
from feedline.metadata.discovery.reading import exact_decoder
from feedline.metadata.discovery.values import NumberText, digits_of, spelling_of
from feedline.metadata.fields import kind_of, resolve
from feedline.warehouse.layout import named_types

Step = Callable[[Any], Any]
Names = Mapping[str, Mapping[str, Any]]


def conformer(avro: Mapping[str, Any]) -> Callable[[Any], dict[str, Any]]:
    """What turns a document, its numbers as `samples_of` reads them, into a record of exact Python values, which both
    `check_record` and fastavro take. It raises SchemaMismatchError with the path of what does not fit."""
    step = _conform(avro, named_types(avro))

    def conform(document: Any) -> dict[str, Any]:
        try:
            record: dict[str, Any] = step(document)
        except Misfit as misfit:
            raise SchemaMismatchError(misfit.reason, field=misfit.path or None) from None
        return record

    return conform


def restorer(avro: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any]:
    """The way back: a record as fastavro reads it, or `conformer` made it, as the document that it was."""
    return _restore(avro, named_types(avro))


def record_line(record: Mapping[str, Any]) -> bytes:
    """A record as a line of a feed file: decimals as exact text, dates and moments in ISO 8601."""
    return orjson.dumps(record, default=_text_of, option=orjson.OPT_APPEND_NEWLINE)


def document_text(value: Any) -> str:
    """A document as JSON, numbers digit by digit as they were read."""
    if isinstance(value, NumberText):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f") if abs(value.adjusted()) < 64 else str(value)
    if isinstance(value, Mapping):
        inner = ",".join(f"{json.dumps(key, ensure_ascii=False)}:{document_text(one)}" for key, one in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(document_text, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _text_of(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, bytes):
        return value.decode("latin-1")
    raise TypeError


def _conform(kind: Any, names: Names) -> Step:
    spec, nullable = resolve(kind, names)
    step = _conform_union(spec, names) if isinstance(spec, list) else _conform_one(spec, names)
    if not nullable:
        return step
    return lambda value: None if value is None else step(value)


def _conform_one(spec: Any, names: Names) -> Step:
    form = spec.get(FORM) if isinstance(spec, Mapping) else None
    if form is not None:
        return _map_entries(spec, names) if form == "map" else _FORMS[form](spec)
    kind = kind_of(spec)
    if kind == "record":
        return _record(spec, names)
    if kind == "array":
        return _array(_conform(spec["items"], names))
    if kind == "map":
        return _map(_conform(spec["values"], names))
    if kind in _MOMENTS:
        return _moment(spec)
    return _leaf(kind, spec)


def _record(spec: Mapping[str, Any], names: Names) -> Step:
    entries = []
    for field in spec["fields"]:
        _, nullable = resolve(field["type"], names)
        may_miss = nullable or "default" in field
        key = str(field.get(ORIGINAL, field["name"]))
        entries.append((key, field["name"], _conform(field["type"], names), may_miss, field.get("default")))
    known = frozenset(key for key, *_ in entries)

    def conform(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Misfit(f"needs an object, found {found_in(value)}")
        made, taken, key = {}, 0, ""
        try:
            for key, name, step, may_miss, default in entries:
                if key in value:
                    made[name] = step(value[key])
                    taken += 1
                elif may_miss:
                    made[name] = default
                else:
                    raise Misfit("is missing and has no default")  # noqa: TRY301  gets its path below
        except Misfit as misfit:
            raise misfit.within(shortened(key).strip("'\"")) from None
        if taken != len(value):
            unknown = next(str(one) for one in value if one not in known)
            raise Misfit("is not in the schema").within(shortened(unknown).strip("'\""))
        return made

    return conform


def _array(step: Step) -> Step:
    def conform(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise Misfit(f"needs an array, found {found_in(value)}")
        made: list[Any] = []
        try:
            made.extend(map(step, value))
        except Misfit as misfit:
            raise misfit.within(f"[{len(made)}]") from None
        return made

    return conform


def _map(step: Step) -> Step:
    def conform(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise Misfit(f"needs an object, found {found_in(value)}")
        made, key = {}, ""
        try:
            for key, one in value.items():
                made[key] = step(one)
        except Misfit as misfit:
            raise misfit.within(shortened(key).strip("'\"")) from None
        return made

    return conform


def _map_entries(spec: Mapping[str, Any], names: Names) -> Step:
    key, value = (field["name"] for field in spec["items"]["fields"])
    step = _map(_conform(spec["items"]["fields"][1]["type"], names))
    return lambda document: [{key: name, value: one} for name, one in step(document).items()]


def _conform_union(branches: list[Any], names: Names) -> Step:
    steps = {_json_kind_of(resolve(one, names)[0]): _conform(one, names) for one in branches}

    def conform(value: Any) -> Any:
        step = steps.get(_json_kind(value))
        if step is None:
            raise Misfit(f"is of no kind that was seen, found {found_in(value)}")
        return step(value)

    return conform


def _json_kind_of(spec: Any) -> str:
    kind = kind_of(spec)
    named = {"record": "object", "map": "object", "array": "array", "boolean": "boolean"}
    if kind in named:
        return named[kind]
    return "number" if kind in ("int", "long", "float", "double", "decimal") else "text"


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | Decimal | NumberText):
        return "number"
    return "object" if isinstance(value, Mapping) else "array" if isinstance(value, list | tuple) else "text"


_LEAVES = {"boolean": BOOLEAN, "int": INT, "long": LONG, "float": FLOAT, "double": DOUBLE, "enum": ENUM}
_MOMENTS = ("date", "timestamp-micros", "timestamp-millis", "local-timestamp-micros", "time-micros")


def _leaf(kind: str, spec: Any) -> Step:
    if kind == "decimal":
        return _number(_decimal(spec))
    symbols = tuple(spec.get("symbols", ())) if isinstance(spec, Mapping) else ()
    check = LEAF_CHECKS[_LEAVES.get(kind, STRING)](Node(_LEAVES.get(kind, STRING), "", "", symbols=symbols))
    if kind in ("float", "double"):
        return _number(check)

    def conform(value: Any) -> Any:
        if isinstance(value, NumberText):
            value = Decimal(value)
        return check(value)

    return conform


def _decimal(spec: Mapping[str, Any]) -> Step:
    return LEAF_CHECKS[DECIMAL](Node(DECIMAL, "", "", precision=spec["precision"], scale=spec.get("scale", 0)))


def _number(check: Step) -> Step:
    def conform(value: Any) -> Any:
        if isinstance(value, NumberText):
            if digits_of(value).whole > 400:
                raise Misfit(f"has too many digits: {shortened(str(value))}")
            value = Decimal(value)
        elif isinstance(value, str):
            raise Misfit(f"needs a number, found {found_in(value)}")
        return check(value)

    return conform


def _quoted_number(spec: Mapping[str, Any]) -> Step:
    check = _decimal(spec)
    places = spec.get(SPELLING)

    def conform(value: Any) -> Any:
        if not isinstance(value, str) or isinstance(value, NumberText):
            raise Misfit(f"needs a number in quotes, found {found_in(value)}")
        spelling = spelling_of(value)
        if spelling.family != "decimal" or (places is not None and spelling.form != places):
            raise Misfit(f"needs a number in quotes with {places} places, found {found_in(value)}")
        return check(value)

    return conform


def _moment(spec: Mapping[str, Any]) -> Step:
    logical = spec["logicalType"]
    form = spec.get(FORMAT) or (ISO_DATE if logical == "date" else ISO_MOMENT)
    order = "DMY" if form[2:5] in ("/MM", ".MM", "-MM") else "MDY" if form[2:5] in ("/DD", ".DD", "-DD") else None

    def conform(value: Any) -> Any:
        if isinstance(value, str) and not isinstance(value, NumberText):
            if order:
                meant = read_ordered(value, order) if value[2:3] == form[2] else None
                if meant:
                    return meant
            elif (found := read_moment(value)) and found[0].form == form and found[1] is not None:
                return found[1]
        raise Misfit(f"needs a {'date' if logical == 'date' else 'time'} written {form}, found {found_in(value)}")

    return conform


def _any_json(spec: Mapping[str, Any]) -> Step:
    kinds = spec.get(KINDS)

    def conform(value: Any) -> Any:
        if kinds is not None and _json_kind(value) not in kinds:
            raise Misfit(f"is of no kind that was seen, found {found_in(value)}")
        return document_text(value)

    return conform


def _number_text(_spec: Mapping[str, Any]) -> Step:
    def conform(value: Any) -> Any:
        if _json_kind(value) != "number":
            raise Misfit(f"needs a number, found {found_in(value)}")
        return document_text(value)

    return conform


def _nothing(_spec: Mapping[str, Any]) -> Step:
    def conform(value: Any) -> Any:
        raise Misfit(f"had no value in any sample, found {found_in(value)}")

    return conform


def _empty(spec: Mapping[str, Any]) -> Step:
    def conform(value: Any) -> Any:
        if value != {}:
            raise Misfit(f"needs an empty object, found {found_in(value)}")
        return "{}" if spec["type"] == "string" else {}

    return conform


_FORMS: Mapping[str, Callable[[Mapping[str, Any]], Step]] = {
    "json": _any_json,
    "number": _number_text,
    "nothing": _nothing,
    "empty": _empty,
    "text": _quoted_number,
}


def _restore(kind: Any, names: Names) -> Step:
    spec, _ = resolve(kind, names)
    step = _restore_union(spec, names) if isinstance(spec, list) else _restore_one(spec, names)
    return lambda value: None if value is None else step(value)


def _restore_one(spec: Any, names: Names) -> Step:
    form = spec.get(FORM) if isinstance(spec, Mapping) else None
    kind = str(form) if form in _RESTORED and spec["type"] != "map" else kind_of(spec)
    restored = _written if kind in _MOMENTS else _RESTORED.get(kind)
    return restored(spec, names) if restored else _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _parsed(_spec: Mapping[str, Any], _names: Names) -> Step:
    return exact_decoder().decode


def _requoted(spec: Mapping[str, Any], _names: Names) -> Step:
    places = int(spec[SPELLING])
    return lambda value: f"{value:.{places}f}"


def _restore_entries(spec: Mapping[str, Any], names: Names) -> Step:
    key, value = (field["name"] for field in spec["items"]["fields"])
    inner = _restore(spec["items"]["fields"][1]["type"], names)
    return lambda entries: {one[key]: inner(one[value]) for one in entries}


def _restore_array(spec: Mapping[str, Any], names: Names) -> Step:
    item = _restore(spec["items"], names)
    return lambda value: [item(one) for one in value]


def _restore_map(spec: Mapping[str, Any], names: Names) -> Step:
    inner = _restore(spec["values"], names)
    return lambda value: {key: inner(one) for key, one in value.items()}


def _written(spec: Mapping[str, Any], _names: Names) -> Step:
    form = spec.get(FORMAT) or (ISO_DATE if spec["logicalType"] == "date" else ISO_MOMENT)
    detail = str(spec.get(SPELLING, ""))

    def restore(value: date | datetime | time) -> str:
        return write_moment(value, form, detail)

    return restore


def _restore_record(spec: Mapping[str, Any], names: Names) -> Step:
    entries = [
        (field["name"], str(field.get(ORIGINAL, field["name"])), _restore(field["type"], names), field.get(LEFT_OUT))
        for field in spec["fields"]
    ]

    def restore(record: Any) -> Any:
        return {
            key: step(record[name]) for name, key, step, left_out in entries if record[name] is not None or not left_out
        }

    return restore


def _restore_union(branches: list[Any], names: Names) -> Step:
    steps = {_json_kind_of(resolve(one, names)[0]): _restore(one, names) for one in branches}
    return lambda value: steps[_json_kind(value)](value)


_RESTORED: Mapping[str, Callable[[Any, Names], Step]] = {
    "json": _parsed,
    "number": _parsed,
    "empty": _parsed,
    "text": _requoted,
    # The form of an array of key and value, and Avro's own map.
    "map": lambda spec, names: (_restore_entries if spec["type"] == "array" else _restore_map)(spec, names),
    "record": _restore_record,
    "array": _restore_array,
}
