"""The simulated time that an event takes in bulk entry."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from feedline.errors import ConfigurationError

_FIXED = re.compile(r"(\d+(?:\.\d+)?)")
_UNIFORM = re.compile(r"(\d+(?:\.\d+)?)\.\.(\d+(?:\.\d+)?)")
_EXPONENTIAL = re.compile(r"exp:(\d+(?:\.\d+)?)(?:\.\.(\d+(?:\.\d+)?))?")
# No delay of a distribution without an end is longer than this many means.
LONGEST_MEANS = 10.0


@dataclass(frozen=True, slots=True)
class Delay:
    """text: how it is written; seconds: of an event that drew this number between 0 and 1."""

    text: str
    seconds: Callable[[float], float]

    def of(self, event_id: str) -> float:
        """The delay of an event in seconds: the same whenever it is taken."""
        drawn = int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=7).digest(), "big")
        return self.seconds(drawn / 2**56)


def read_delay(text: str) -> Delay:
    """A delay in milliseconds: `100` for all, `50..150` evenly between, `exp:80` exponential with that mean (ten means
    at most), `exp:80..2000` with another longest. Raises ConfigurationError."""
    if found := _FIXED.fullmatch(text):
        fixed = float(found[1]) / 1000
        return Delay(text, lambda _: fixed)
    if found := _UNIFORM.fullmatch(text):
        low, high = float(found[1]) / 1000, float(found[2]) / 1000
        if low <= high:
            return Delay(text, lambda drawn: low + drawn * (high - low))
    if found := _EXPONENTIAL.fullmatch(text):
        mean = float(found[1]) / 1000
        longest = float(found[2]) / 1000 if found[2] else mean * LONGEST_MEANS
        return Delay(text, lambda drawn: min(longest, -mean * math.log1p(-drawn)))
    raise ConfigurationError(
        f"{text!r} is no delay: write milliseconds as 100, 50..150 (evenly between) or exp:80 (exponential, mean 80)"
    )
