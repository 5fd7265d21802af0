"""What the simulated engine does with orders, as it was told."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from feedline.errors import ConfigurationError


class Answer(StrEnum):
    """How an order message is answered."""

    ACK = "ack"
    FILL = "fill"
    PARTIAL = "partial"
    REJECT = "reject"
    # Booked and not answered, until another answer is set.
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """answer: to every order; slow_s: seconds that each message takes; reject_next: so many are rejected first;
    drop_after: the line is cut once, after so many more messages were booked and before the last is answered."""

    answer: Answer = Answer.FILL
    slow_s: float = 0.0
    reject_next: int = 0
    drop_after: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.slow_s <= 60:
            raise ConfigurationError(f"slow {self.slow_s} s: use 0 to 60")
        if self.reject_next < 0 or self.drop_after < 0:
            raise ConfigurationError("a count of messages is 0 or more")
