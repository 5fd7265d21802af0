"""The FIX log with names: what QuickFIX wrote of a session, a line a message, for people."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from feedline.errors import ConfigurationError
from feedline.orders.fix.dictionary import names
from feedline.orders.fix.raw import SOH
from feedline.security.visible import visible

# The message that QuickFIX wrote says itself how many bytes follow, so that a line end in a value is not its end.
_HEAD = re.compile(rb"(\d{8}-\d\d:\d\d:\d\d\.\d{3})\d* : 8=FIX[^\x01\n]{1,16}\x019=(\d{1,9})\x01")
_TAIL = re.compile(rb"10=\d{1,9}\x01\n\Z")
# Of the session, and said elsewhere in the line.
_HIDDEN = frozenset({"8", "9", "10", "34", "35", "43", "49", "52", "56", "97"})
_FOLLOW_S = 0.3
_SECRET = frozenset({"554"})
# A message that was just logged is in this much of the end; most are in the first.
_ENDS = (1 << 14, 1 << 20)


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """One message of the log. fields: tags and values in their order; whole: not so for a line that begins like a
    message and is none, of which nothing is told."""

    at: str
    fields: tuple[tuple[str, str], ...]
    whole: bool = True

    def value(self, tag: str) -> str:
        return next((value for name, value in self.fields if name == tag), "")

    @property
    def kind(self) -> str:
        return names().messages.get(self.value("35"), self.value("35"))

    @property
    def flags(self) -> str:
        marks = [name for tag, name in (("43", "PossDup"), ("97", "PossResend")) if self.value(tag) == "Y"]
        return ",".join(marks)

    def named(self) -> list[tuple[str, str]]:
        """The message's own fields by name, coded values with their names."""
        told = []
        for tag, value in self.fields:
            if tag in _HIDDEN:
                continue
            meaning = names().values.get((tag, value))
            shown = "***" if tag in _SECRET else f"{value}({meaning})" if meaning else value
            told.append((names().tags.get(tag, tag), shown))
        return told

    def of_order(self, order_id: str) -> bool:
        """Whether it is of that order, whichever of its ClOrdIDs it names."""
        return any(
            value == order_id or value.rpartition("-")[0] == order_id
            for tag, value in self.fields
            if tag in ("11", "41", "37", "379")
        )

    def __str__(self) -> str:
        if not self.whole:
            return f"{self.at} (a line that begins like a message and is not a whole one: look into the file)"
        flags = f" [{self.flags}]" if self.flags else ""
        told = " ".join(f"{name}={value}" for name, value in self.named())
        line = f"{self.at} {self.value('49')}->{self.value('56')} #{self.value('34')}{flags} {self.kind} {told}"
        # The other side has written some of it.
        return visible(line.rstrip(), one_line=True)


def read_log(
    folder: Path, *, keep: Callable[[LoggedMessage], bool] = lambda _: True, follow: bool = False
) -> Iterator[LoggedMessage]:
    """The messages of all sessions of a folder: of each file in order, and with `follow` for ever what is added.

    Raises ConfigurationError when there is no log.
    """
    files = sorted(folder.glob("FIX*.messages*.log"))
    if not files:
        raise ConfigurationError("there is no FIX log in this folder", file=str(folder))
    places = dict.fromkeys(files, 0)
    while True:
        for file in files:
            with file.open("rb") as log:
                log.seek(places[file])
                while (message := _next(log, wait=follow)) is not None:
                    places[file] = log.tell()
                    if message and keep(message):
                        yield message
        if not follow:
            return
        time.sleep(_FOLLOW_S)
        files = sorted(folder.glob("FIX*.messages*.log"))
        places = {file: places.get(file, 0) for file in files}


def last_logged(file: Path, sender: str, number: str) -> LoggedMessage | None:
    """The last message of that sender and number near the end of a session's log; None when there is none."""
    with file.open("rb") as log:
        for size in _ENDS:
            log.seek(max(0, log.seek(0, os.SEEK_END) - size))
            found = None
            while (message := _next(log, wait=False)) is not None:
                if message and message.value("49") == sender and message.value("34") == number:
                    found = message
            if found is not None:
                return found
    return None


def _next(log: BinaryIO, *, wait: bool) -> LoggedMessage | Literal[False] | None:
    """The next message; False for a line of something else, None when there is no more line. wait: the rest of a
    message may still come."""
    line = log.readline()
    if not line.endswith(b"\n"):
        return None
    head = _HEAD.match(line)
    if head is None:
        return False
    at, after_line = head[1].decode(), log.tell()
    end = head.end() + int(head[2])
    while len(line) <= end:
        more = log.readline()
        if not more.endswith(b"\n"):
            if wait:
                return None
            break
        line += more
    if not _TAIL.match(line, end):
        # Cut off by a kill, or not QuickFIX's: what follows is taken line by line again.
        log.seek(after_line)
        return LoggedMessage(at, (), whole=False)
    start = line.index(b"8=FIX")
    pairs = (part.split("=", 1) for part in line[start:-1].decode(errors="replace").split(SOH) if "=" in part)
    return LoggedMessage(at, tuple((tag, value) for tag, value in pairs))
