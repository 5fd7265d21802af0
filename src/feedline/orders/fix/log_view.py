"""The FIX log with names: what QuickFIX wrote of a session, a line a message, for people."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from feedline.errors import ConfigurationError
from feedline.orders.fix.dictionary import SOH, names
from feedline.security.visible import visible

_LINE = re.compile(r"^(\d{8}-\d\d:\d\d:\d\d\.\d{3})\d* : (8=FIX.*)$")
# Of the session, and said elsewhere in the line.
_HIDDEN = frozenset({"8", "9", "10", "34", "35", "43", "49", "52", "56", "97"})
_FOLLOW_S = 0.3
_SECRET = frozenset({"554"})


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """One message of the log. fields: tags and values in their order."""

    at: str
    fields: tuple[tuple[str, str], ...]

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
            # A message ends where QuickFIX ended its line, not at a carriage return that somebody sent.
            with file.open(encoding="utf-8", errors="replace", newline="\n") as lines:
                lines.seek(places[file])
                while (line := lines.readline()).endswith("\n"):
                    places[file] = lines.tell()
                    message = parse_line(line)
                    if message is not None and keep(message):
                        yield message
        if not follow:
            return
        time.sleep(_FOLLOW_S)
        files = sorted(folder.glob("FIX*.messages*.log"))
        places = {file: places.get(file, 0) for file in files}


def parse_line(line: str) -> LoggedMessage | None:
    """A message of QuickFIX's log; None for another line."""
    found = _LINE.match(line.rstrip("\n"))
    if found is None:
        return None
    pairs = (part.split("=", 1) for part in found[2].split(SOH) if "=" in part)
    return LoggedMessage(found[1], tuple((tag, value) for tag, value in pairs))
