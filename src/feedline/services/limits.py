"""What one request may cost: the size of its body, the depth and number of values of its JSON, and how often a caller
may come."""

from __future__ import annotations

import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from feedline.errors import ConfigurationError

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """max_body_bytes: of a request. uploads: path prefixes that may bring more, and how many bytes; their bodies are
    streamed to the route and not looked into. max_json_depth and max_json_values: of a JSON body, checked before
    it is parsed. per_second and burst: of one caller; failures_per_minute: wrong credentials from one address;
    callers: how many are remembered."""

    max_body_bytes: int = 4 * MIB
    uploads: Mapping[str, int] = field(default_factory=dict)
    max_json_depth: int = 100
    max_json_values: int = 400_000
    per_second: float = 50.0
    burst: int = 200
    failures_per_minute: int = 30
    callers: int = 10_000

    def __post_init__(self) -> None:
        least = min(
            self.max_body_bytes, self.max_json_depth, self.max_json_values, self.burst, self.failures_per_minute,
            self.callers, *self.uploads.values(),
        )  # fmt: skip
        if least < 1 or self.per_second <= 0:
            raise ConfigurationError("every limit of a service must be at least 1")

    def upload_bytes(self, path: str) -> int | None:
        """How much a body to that path may bring when the path is one of uploads, else None."""
        fitting = [prefix for prefix in self.uploads if path.startswith(prefix)]
        return self.uploads[max(fitting, key=len)] if fitting else None


class RateLimiter:
    """Token buckets by name: `burst` at once, then `per_second`; the longest unseen name is forgotten first."""

    def __init__(
        self, per_second: float, burst: int, names: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second, self._burst, self._names, self._clock = per_second, burst, names, clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> int:
        """Takes one; 0 when there was one, else the seconds after which there will be."""
        left = self._left(name)
        taken = left >= 1
        self._keep(name, left - 1 if taken else left)
        return 0 if taken else self._wait(left)

    def exhausted(self, name: str) -> int:
        """As `take`, without taking."""
        left = self._left(name)
        return 0 if left >= 1 else self._wait(left)

    def _left(self, name: str) -> float:
        left, since = self._buckets.get(name, (float(self._burst), self._clock()))
        return min(float(self._burst), left + (self._clock() - since) * self._per_second)

    def _keep(self, name: str, left: float) -> None:
        self._buckets[name] = (left, self._clock())
        self._buckets.move_to_end(name)
        if len(self._buckets) > self._names:
            self._buckets.popitem(last=False)

    def _wait(self, left: float) -> int:
        return max(1, math.ceil((1 - left) / self._per_second))


# A text, also one that the body ends within; possessive, so a body of quotes and backslashes costs one pass.
_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_STEP = np.zeros(256, np.int8)
_STEP[[ord("["), ord("{")]] = 1
_STEP[[ord("]"), ord("}")]] = -1
_STARTS = np.zeros(256, np.bool_)
_STARTS[[ord("["), ord("{"), ord(",")]] = True


def json_excess(body: bytes, limits: Limits) -> str | None:
    """What of a JSON body is too much, before anything parses it: depth, or the number of values; None when nothing is.

    Linear in the body's size, with a few bytes of memory for each of its bytes, whatever the body is.
    """
    # Most bodies are far from any limit, even when what their texts hold counts too: a tenth of the work of looking.
    opened = body.count(b"{") + body.count(b"[")
    if opened <= limits.max_json_depth and 1 + opened + body.count(b",") <= limits.max_json_values:
        return None
    outside = np.frombuffer(_TEXT.sub(b"", body), np.uint8)
    if not len(outside):
        return None
    values = 1 + int(np.count_nonzero(_STARTS[outside]))
    if values > limits.max_json_values:
        return f"more than {limits.max_json_values:,} values"
    depth = int(np.cumsum(_STEP[outside], dtype=np.int32).max())
    return f"{depth:,} levels deep, more than {limits.max_json_depth}" if depth > limits.max_json_depth else None
