"""Which messages of a feed a replay is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from feedline.batch.consumed import ConsumedBatch
from feedline.consumer.ranges import PartitionSpan
from feedline.errors import ConfigurationError

_OFFSETS = re.compile(r"(\d+):(\d+)-(\d+)\Z")


class Mode(StrEnum):
    """verify changes nothing; repair loads what is missing; rebuild deletes a delivery's rows and loads them anew."""

    VERIFY = "verify"
    REPAIR = "repair"
    REBUILD = "rebuild"


@dataclass(frozen=True, slots=True)
class Selection:
    """What is given has to hold all together; something has to be given.

    offsets: spans of the feed's topic. since, until: of the messages' times, with zone, `until` excluded.
    """

    delivery_id: str | None = None
    business_date: date | None = None
    correlation_id: str | None = None
    offsets: tuple[PartitionSpan, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if not (self.delivery_id or self.business_date or self.correlation_id or self.offsets or self.since):
            raise ConfigurationError(
                "nothing is selected: name a delivery, a business date, a correlation id, offsets or a point in time"
            )
        for moment in (self.since, self.until):
            if moment is not None and moment.tzinfo is None:
                raise ConfigurationError(f"the point in time {moment} has no time zone: write 2026-11-20T18:30-05:00")
        if self.since and self.until and self.since >= self.until:
            raise ConfigurationError(f"nothing lies between {self.since} and {self.until}")

    @property
    def of_deliveries(self) -> bool:
        """Whether whole deliveries are meant, which can be held against their manifests."""
        return bool(self.delivery_id or self.business_date) and not (self.correlation_id or self.offsets or self.since)

    def takes(self, batch: ConsumedBatch) -> bool:
        headers = batch.headers
        return (
            self.delivery_id in (None, headers.delivery_id)
            and self.business_date in (None, headers.business_date)
            and self.correlation_id in (None, headers.correlation_id)
        )


def parse_offsets(text: str) -> PartitionSpan:
    """`3:100-199`: of partition 3 the offsets 100 to 199; raises ConfigurationError."""
    found = _OFFSETS.match(text.strip())
    if not found:
        raise ConfigurationError(f"{text!r} is no range of offsets: write PARTITION:FIRST-LAST, for example 3:100-199")
    partition, first, last = map(int, found.groups())
    return PartitionSpan(partition, first, last + 1)
