"""The part of a day that arrives before its end: small deliveries of one file each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

from feedline.batch.control_file import intraday_control_path, intraday_control_paths
from feedline.batch.identity import Cycle
from feedline.catalog import Feed
from feedline.datagen.feed_files import FeedFile, WrittenFile, publish
from feedline.datagen.render import Dump
from feedline.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class IntradayShare:
    """How much of a day arrives during it.

    share: of each feed's records, 0 for none; deliveries: how many small ones, a file and a control file each;
    full_eod: the end-of-day delivery has these records again, instead of only those that are left.
    """

    share: float = 0.0
    deliveries: int = 4
    full_eod: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.share < 1.0 or not 1 <= self.deliveries <= 999:
            raise ConfigurationError("the intraday share is from 0 to below 1, in 1 to 999 deliveries")


class IntradayFiles:
    """One feed's small deliveries while its day is generated.

    Records are taken evenly over the feed, whatever it is cut into, and dealt to the deliveries in turn. Equal records
    and an equal share give equal files.
    """

    def __init__(self, staged: Path, feed: Feed, business_date: date, part: IntradayShare, dump: Dump) -> None:
        self._staged = staged
        self._feed = feed
        self._date = business_date
        self._part = part
        # Exact, so that rounding does not depend on how many records came before.
        self._share = Fraction(str(part.share))
        self._seen = 0
        self._taken = 0
        self._files = (
            [
                FeedFile(staged / f"{feed.name}_{business_date:%Y%m%d}_I{number:03d}.jsonl", feed, dump)
                for number in range(1, part.deliveries + 1)
            ]
            if part.share
            else []
        )

    def left(self, records: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Takes its share out of these records and passes on what the end of day has."""
        if not self._files:
            yield from records
            return
        for record in records:
            self._seen += 1
            taken = int(self._seen * self._share) > self._taken
            if taken:
                self._files[self._taken % len(self._files)].write(record)
                self._taken += 1
            if not taken or self._part.full_eod:
                yield record

    def publish(self, landing: Path) -> tuple[WrittenFile, ...]:
        """Puts every delivery that has a record in place, and withdraws those of an earlier day that differ."""
        written = [file for file in (open_file.close() for open_file in self._files) if file.records]
        controls = [
            intraday_control_path(landing, self._feed.name, self._date, number) for number in range(1, len(written) + 1)
        ]
        for old in intraday_control_paths(landing, self._feed.name, self._date):
            if old not in controls:
                old.unlink()
                old.with_name(old.name.replace(".control.json", ".jsonl")).unlink(missing_ok=True)
        for control, file in zip(controls, written, strict=True):
            publish(control, self._feed, self._date, self._staged, [file], cycle=Cycle.INTRADAY, replaces=file.name)
        return tuple(written)
