"""The engine's book: every order message that came, in order, with its flags and what became of it, and every report
that was given, in one file that is only appended to.

A line is in the file before the message's sequence number counts as received, and a report is in it before it is
sent, so an engine that is killed anywhere knows afterwards what it has booked and which reports it still owes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson

from feedline.errors import ConfigurationError

FILE = "book.jsonl"


class Verdict(StrEnum):
    """What became of a message."""

    # The order's next event, taken once.
    BOOKED = "BOOKED"
    # Of one that was booked before, and marked so (PossDupFlag, PossResend).
    COPY = "COPY"
    # The same without a mark: a fault of the sender's.
    UNMARKED_COPY = "UNMARKED_COPY"
    # Not the order's next event: a fault of the sender's, unless the engine has lost what was before.
    OUT_OF_SEQUENCE = "OUT_OF_SEQUENCE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One order message. partition, offset: the sender's own place of the event, when it tells."""

    at: str
    session: str
    seq_num: int
    msg_type: str
    cl_ord_id: str
    orig_cl_ord_id: str | None
    order_id: str
    sequence: int
    poss_dup: bool
    poss_resend: bool
    partition: int | None
    offset: int | None
    verdict: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A message to the gateway. body: its FIX fields from MsgType on; the amounts are the order's after it."""

    exec_id: str
    cl_ord_id: str
    order_id: str
    session: str
    body: str
    status: str
    filled: str
    paid: str


@dataclass(slots=True)
class Book:
    """entries: as the file has them; reports: of these by ClOrdID; unsent: reports that were given and perhaps not
    sent."""

    folder: Path
    epoch: int = 0
    entries: list[Arrival | Report] = field(default_factory=list)
    reports: dict[str, list[Report]] = field(default_factory=dict)
    unsent: dict[str, Report] = field(default_factory=dict)
    _descriptor: int = -1

    @staticmethod
    def open(folder: Path) -> Book:
        """The book of that folder, a new one when there is none; raises ConfigurationError when it cannot be read."""
        folder.mkdir(parents=True, exist_ok=True)
        book = Book(folder)
        path = folder / FILE
        try:
            if path.exists():
                for line in _whole_lines(path):
                    book._take(line)
            book._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(f"the engine's book cannot be read: {error}", file=str(path)) from error
        return book

    @property
    def arrivals(self) -> list[Arrival]:
        return [one for one in self.entries if isinstance(one, Arrival)]

    def last_arrival(self, cl_ord_id: str) -> Arrival:
        """The newest message of that name; raises StopIteration without one."""
        return next(one for one in reversed(self.entries) if isinstance(one, Arrival) and one.cl_ord_id == cl_ord_id)

    def close(self) -> None:
        os.close(self._descriptor)

    def add(self, arrival: Arrival | None, reports: list[Report]) -> None:
        """Writes down what came and what is answered, at once and together."""
        line: dict[str, Any] = {}
        if arrival is not None:
            line["arrival"] = asdict(arrival)
        if reports:
            line["reports"] = [asdict(one) for one in reports]
        self._write(line)

    def sent(self, reports: list[Report]) -> None:
        """These are in the session's own store: it delivers them, whatever happens to this process."""
        if reports:
            self._write({"sent": [one.exec_id for one in reports]})

    def forget(self, since: datetime) -> int:
        """Loses what came since then, as an engine that was restored from a backup has; how many messages."""
        known: set[str] = set()
        entries: list[Arrival | Report] = []
        lost = 0
        for one in self.entries:
            if isinstance(one, Report):
                if one.cl_ord_id in known:
                    entries.append(one)
            elif datetime.fromisoformat(one.at) < since:
                entries.append(one)
                if one.verdict == Verdict.BOOKED:
                    known.add(one.cl_ord_id)
            else:
                lost += 1
        epoch = self.epoch + 1
        self.close()
        path = self.folder / FILE
        path.rename(self.folder / f"{FILE}.{epoch}")
        self.epoch, self.entries, self.reports, self.unsent = epoch, [], {}, {}
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._write({"epoch": epoch})
        for one in entries:
            if isinstance(one, Arrival):
                self.add(one, [])
            else:
                self.add(None, [one])
                self.sent([one])
        return lost

    def _write(self, line: dict[str, Any]) -> None:
        data = orjson.dumps(line) + b"\n"
        if os.write(self._descriptor, data) != len(data):
            raise OSError("the engine's book was not written whole: the disk is full")
        self._take(line)

    def _take(self, line: dict[str, Any]) -> None:
        if "epoch" in line:
            self.epoch = line["epoch"]
        if "arrival" in line:
            self.entries.append(Arrival(**line["arrival"]))
        for document in line.get("reports", ()):
            report = Report(**document)
            self.entries.append(report)
            self.reports.setdefault(report.cl_ord_id, []).append(report)
            self.unsent[report.exec_id] = report
        for exec_id in line.get("sent", ()):
            self.unsent.pop(exec_id, None)


def now() -> str:
    """ISO 8601 in UTC, always with its microseconds: else a whole second is written without a fraction."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def read_book(folder: Path) -> list[Arrival]:
    """What an engine has booked, also while it runs."""
    book = Book(folder)
    for line in _whole_lines(folder / FILE):
        book._take(line)
    return book.arrivals


def _whole_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines that were written whole; a torn last one belongs to a message whose number did not count yet."""
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield orjson.loads(line)
