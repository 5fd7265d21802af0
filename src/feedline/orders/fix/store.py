"""Reading QuickFIX's own message store: which events have got a sequence number, and which store it is.

QuickFIX writes a message into the store, then counts its number, and sends it after that only. A message whose number
is not counted was never sent, and its number will be another message's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from feedline.errors import ConfigurationError
from feedline.orders.fix.dictionary import BEGIN_STRING

# So much of the end of the list of messages is looked at: some 300,000 of them, far more than a gateway may have
# unanswered. A store grows for as long as its session is not reset.
LOOK_BACK_BYTES = 8 << 20
_ENTRY = re.compile(rb"(\d+),(\d+),(\d+) ")
_PLACE = re.compile(rb"\x019701=(\d+)\x019702=(\d+)\x01")


@dataclass(frozen=True, slots=True)
class StoreFiles:
    """The files of one session."""

    prefix: Path

    @staticmethod
    def of(folder: Path, sender: str, target: str) -> StoreFiles:
        return StoreFiles(folder / f"{BEGIN_STRING}-{sender}-{target}")

    def part(self, name: str) -> Path:
        return self.prefix.with_name(f"{self.prefix.name}.{name}")

    def identity(self) -> str:
        """Another text whenever the store was begun anew, by a reset or elsewhere; empty while there is none."""
        try:
            return str(self.part("session").stat().st_mtime_ns)
        except FileNotFoundError:
            return ""

    def keep_on(self) -> None:
        """To be called before QuickFIX opens the store: at its start, and only then, it empties one that was begun on
        another day (UTC), NonStopSession or not. The store is said to be of today, and keeps its identity."""
        session = self.part("session")
        try:
            begun = session.stat().st_mtime_ns
            descriptor = os.open(session, os.O_WRONLY)
        except FileNotFoundError:
            return
        try:
            os.pwrite(descriptor, f"{datetime.now(UTC):%Y%m%d-%H:%M:%S}".encode(), 0)
            os.utime(descriptor, ns=(begun, begun))
        finally:
            os.close(descriptor)

    def next_number(self) -> int:
        """The number that the next message gets; 1 without a store."""
        try:
            return int(self.part("seqnums").read_bytes().split(b":")[0])
        except FileNotFoundError:
            return 1
        except ValueError as error:
            raise ConfigurationError(
                f"the FIX store cannot be read: {error}; start the gateway with --reset-session",
                file=str(self.part("seqnums")),
            ) from error

    def is_longer(self) -> bool:
        """Whether it has more messages than are looked at: an event without a number may have an older one."""
        try:
            return self.part("header").stat().st_size > LOOK_BACK_BYTES
        except FileNotFoundError:
            return False

    def numbered(self) -> dict[tuple[int, int], int]:
        """By partition and offset of an event the number that it has, of the last messages."""
        found: dict[tuple[int, int], int] = {}
        for number, message in self._messages():
            place = _PLACE.search(message)
            if place is not None:
                found[int(place[1]), int(place[2])] = number
        return found

    def _messages(self) -> Iterator[tuple[int, bytes]]:
        try:
            entries = _ENTRY.findall(self._last_entries())
            body = self.part("body").open("rb")
        except FileNotFoundError:
            return
        limit = self.next_number()
        # The last entry of a number counts: a message that was not counted has left its number to another.
        places = {int(number): (int(at), int(size)) for number, at, size in entries}
        with body:
            for number, (at, size) in places.items():
                if number < limit:
                    body.seek(at)
                    yield number, body.read(size)

    def _last_entries(self) -> bytes:
        with self.part("header").open("rb") as header:
            size = header.seek(0, os.SEEK_END)
            header.seek(max(0, size - LOOK_BACK_BYTES))
            found = header.read()
        # The first one may have lost its beginning.
        return found if size <= LOOK_BACK_BYTES else found.partition(b" ")[2]
