"""What a gateway writes beside the group's offset before it sends: how far it is about to go.

The offset says below where everything is answered, the intent below where everything may have been sent. What lies
between is what another gateway, without this one's FIX store, must mark as possibly sent before. The broker takes the
offset of a member of the group's present generation only, so one that has lost its partitions gets no intent and
sends nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Intent:
    """end: the offset below which all may have been sent, by whom, and under the numbers of which store; others: below
    which somebody else may have sent it, or this gateway from another store."""

    end: int = 0
    session: str = ""
    store: str = ""
    others: int = 0

    def is_of(self, session: str, store: str) -> bool:
        return (self.session, self.store) == (session, store)

    def extended(self, end: int, session: str, store: str) -> Intent:
        """The intent of whoever goes on from this one."""
        others = self.others if self.is_of(session, store) else self.end
        return Intent(max(end, self.end), session, store, others)

    def perhaps_sent(self, offset: int, session: str, store: str, *, is_known_whole: bool = True) -> bool:
        """Whether an event that has no number in this store, as far as that is known, may have been sent all the
        same."""
        return offset < (self.others if self.is_of(session, store) and is_known_whole else self.end)

    def metadata(self) -> str:
        document = {"end": self.end, "session": self.session, "store": self.store, "others": self.others}
        return json.dumps(document, separators=(",", ":"))

    @staticmethod
    def of(metadata: str | None) -> Intent:
        """Of a committed offset's metadata; one that goes nowhere when there is none."""
        try:
            document = json.loads(metadata or "")
            return Intent(
                int(document["end"]), str(document["session"]), str(document["store"]), int(document["others"])
            )
        except (ValueError, KeyError, TypeError):
            return Intent()
