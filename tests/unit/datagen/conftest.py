"""Two funds of one business date, generated once: files, and their records as exact values."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from feedline.catalog import Catalog, load_catalog
from feedline.datagen import DaySummary, generate_day

DAY = date(2026, 11, 20)
FUNDS = 2

Records = Callable[[str], list[dict[str, Any]]]
Generate = Callable[..., DaySummary]
ReadLine = Callable[[str, str], dict[str, Any]]


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="session")
def generate(catalog: Catalog) -> Generate:
    """`generate_day` with small defaults."""

    def run(out: Path, **changes: Any) -> DaySummary:
        return generate_day(catalog, **{"business_date": DAY, "funds": 1, "seed": 7, "out": out, **changes})

    return run


@pytest.fixture(scope="session")
def day(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> DaySummary:
    return generate(tmp_path_factory.mktemp("landing"), funds=FUNDS)


@pytest.fixture(scope="session")
def landing(day: DaySummary) -> Path:
    return day.feeds[0].folder.parents[1]


@pytest.fixture(scope="session")
def read_line(catalog: Catalog) -> ReadLine:
    """A line of a feed as a reader gets it, each number exact."""

    def read(feed: str, line: str) -> dict[str, Any]:
        document = json.loads(line, parse_float=Decimal, parse_int=Decimal)
        record: dict[str, Any] = exact(catalog.feed(feed).schema, document)
        return record

    return read


@pytest.fixture(scope="session")
def records(read_line: ReadLine, landing: Path) -> Records:
    @cache
    def of(feed: str) -> list[dict[str, Any]]:
        files = sorted((landing / f"{DAY}" / feed).glob("*.jsonl"))
        return [read_line(feed, line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]

    return of


def exact(kind: Any, value: Any) -> Any:
    """JSON as the Python values of its Avro type; refuses what the type does not allow."""
    if isinstance(kind, list):
        if value is None:
            assert "null" in kind
            return None
        (kind,) = [branch for branch in kind if branch != "null"]
    name = kind if isinstance(kind, str) else kind.get("logicalType", kind["type"])
    if name == "record":
        assert list(value) == [field["name"] for field in kind["fields"]]
        return {field["name"]: exact(field["type"], value[field["name"]]) for field in kind["fields"]}
    if name == "array":
        return [exact(kind["items"], item) for item in value]
    return LEAVES[name](value)


def text(value: Any) -> str:
    assert isinstance(value, str)
    return value


def truth(value: Any) -> bool:
    assert isinstance(value, bool)
    return value


def whole(value: Any) -> int:
    assert value == value.to_integral_value()
    return int(value)


def micros(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    assert moment.tzinfo is not None
    return moment.astimezone(UTC)


def millis(value: str) -> datetime:
    moment = micros(value)
    assert moment.microsecond % 1000 == 0
    return moment


LEAVES: dict[str, Callable[[Any], Any]] = {
    "boolean": truth,
    "date": date.fromisoformat,
    "decimal": Decimal,
    "enum": text,
    "int": whole,
    "long": whole,
    "string": text,
    "timestamp-micros": micros,
    "timestamp-millis": millis,
}
