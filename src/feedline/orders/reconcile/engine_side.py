"""The FIX engine's side of the books: what its book says it has booked and reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from feedline.errors import ConfigurationError
from feedline.orders.reconcile.report import Line, line

BOOK = "the engine"
FILE = "book.jsonl"
# OrdStatus of FIX as the tables spell it.
_STATUS = {
    "0": "NEW",
    "1": "PARTIALLY_FILLED",
    "2": "FILLED",
    "4": "CANCELED",
    "8": "REJECTED",
    "C": "EXPIRED",
}


@dataclass(slots=True)
class EngineSide:
    """booked: how often each event (order, sequence) was booked; unmarked, unordered: orders of messages that came
    again without a mark, or not in sequence; reports: order by ExecID; stands: status and filled quantity of each
    order."""

    booked: Counter[tuple[str, int]] = field(default_factory=Counter)
    unmarked: list[str] = field(default_factory=list)
    unordered: list[str] = field(default_factory=list)
    reports: dict[str, str] = field(default_factory=dict)
    stands: dict[str, tuple[str, Decimal]] = field(default_factory=dict)


def read_engine_side(folder: Path) -> EngineSide:
    """The book in an engine's folder, also while it runs; raises ConfigurationError when it cannot be read."""
    side = EngineSide()
    try:
        for entry in _lines(folder / FILE):
            arrival = entry.get("arrival")
            if arrival is not None:
                _take(side, arrival)
            for report in entry.get("reports", ()):
                if report["body"].startswith("35=8"):
                    side.reports[report["exec_id"]] = report["order_id"]
                side.stands[report["order_id"]] = (report["status"], Decimal(report["filled"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"the engine's book cannot be read: {error}", file=str(folder / FILE)) from error
    return side


def _take(side: EngineSide, arrival: dict[str, Any]) -> None:
    order_id, verdict = str(arrival["order_id"]), arrival["verdict"]
    if verdict == "BOOKED":
        side.booked[order_id, int(arrival["sequence"])] += 1
    elif verdict == "UNMARKED_COPY":
        side.unmarked.append(order_id)
    elif verdict == "OUT_OF_SEQUENCE":
        side.unordered.append(order_id)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as lines:
        for text in lines:
            # A torn last line belongs to a message that does not count yet.
            if text.endswith(b"\n"):
                yield orjson.loads(text)


def engine_lines(
    side: EngineSide,
    sent: Collection[tuple[str, int]],
    exec_ids: Collection[str],
    states: dict[str, tuple[str, Decimal]],
) -> Iterator[Line]:
    """sent: events that had to be sent; exec_ids: executions in the table; states: status and filled quantity of each
    order by the tables. Only what is of these orders is compared."""
    orders = {order_id for order_id, _ in sent}
    due = set(sent)
    booked = {event: times for event, times in side.booked.items() if event[0] in orders}
    differing = [order_id for order_id, _ in due ^ booked.keys()]
    yield line(BOOK, "events sent, and booked", len(due), sum(booked.values()), differing)
    yield line(BOOK, "booked twice", 0, sum(times > 1 for times in booked.values()))
    for what, found in (("sent again without a mark", side.unmarked), ("out of sequence", side.unordered)):
        of_ours = [order_id for order_id in found if order_id in orders]
        yield line(BOOK, what, 0, len(of_ours), of_ours)
    given = {exec_id: order_id for exec_id, order_id in side.reports.items() if order_id in orders}
    missing = [order_id for exec_id, order_id in given.items() if exec_id not in exec_ids]
    yield line(BOOK, "reports given, and executions", len(given), len(given) - len(missing), missing)
    theirs = {order_id: stand for order_id, stand in side.stands.items() if order_id in states}
    differing = [o for o, (status, filled) in theirs.items() if states[o] != (_STATUS.get(status, status), filled)]
    yield line(BOOK, "state and filled quantity of orders", len(theirs), len(theirs) - len(differing), differing)
