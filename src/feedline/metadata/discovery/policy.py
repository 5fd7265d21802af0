"""What discovery is told: how far it may go, and where the line between two readings of a sample lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from feedline.errors import ConfigurationError

MIB = 1 << 20
# Digits of a decimal beyond those seen: before the point for amounts ten thousand times as large, behind it for a unit
# a hundredth as large.
INTEGER_HEADROOM, SCALE_HEADROOM = 4, 2


@dataclass(frozen=True, slots=True)
class DiscoveryPolicy:
    """target: `feed` keeps to what a feed's tables and codec take, `avro` uses maps, unions and times as well.

    integer_headroom, scale_headroom: digits of a decimal beyond those seen; least_integer_digits: before the point at
    least, so that a field that turns out to have fractions keeps room for every integer of 64 bits.
    day_order: what 03/04/2026 means, `DMY` or `MDY`, declared by whoever knows the source; None leaves it text.
    enum_symbols: values up to which an enum is offered. map_keys: keys from which an object without a key that is
    always there is a map; data_keys: the same for keys that are dates, numbers or UUIDs.
    max_document_bytes, max_values: of one sample; max_depth: of its nesting; max_keys: of an object below the top, from
    there on it is a map; max_fields: of the schema; max_expansion: of a gzip file, to 1.
    """

    target: Literal["feed", "avro"] = "feed"
    integer_headroom: int = INTEGER_HEADROOM
    scale_headroom: int = SCALE_HEADROOM
    least_integer_digits: int = 19
    day_order: Literal["DMY", "MDY"] | None = None
    enum_symbols: int = 64
    map_keys: int = 20
    data_keys: int = 3
    max_document_bytes: int = 8 * MIB
    max_values: int = 1_000_000
    max_depth: int = 100
    max_keys: int = 1_000
    max_fields: int = 20_000
    max_expansion: int = 300
    refused_shown: int = 20

    def __post_init__(self) -> None:
        least = min(
            self.enum_symbols, self.map_keys, self.data_keys, self.max_document_bytes, self.max_values, self.max_depth,
            self.max_keys, self.max_fields, self.max_expansion, self.refused_shown, self.least_integer_digits,
        )  # fmt: skip
        if least < 1 or min(self.integer_headroom, self.scale_headroom) < 0:
            raise ConfigurationError("every limit of discovery is at least 1, every headroom at least 0")
        if self.target not in ("feed", "avro"):
            raise ConfigurationError(f"discovery aims at feed or avro, not {self.target!r}")
        if self.day_order not in (None, "DMY", "MDY"):
            raise ConfigurationError(f"the order of day and month is DMY or MDY, not {self.day_order!r}")
