"""A gateway's own parts on one partition, with stand-ins for its session, its group and its broker around them."""

from __future__ import annotations

from collections import Counter

from tests.unit.orders.test_pending_events import checked

from feedline.orders.fix.answers import Answers
from feedline.orders.fix.flight import Flight
from feedline.orders.fix.holding import Taken
from feedline.orders.fix.judge import Refuse, judge, judge_waiting
from feedline.orders.model import facts_of

PARTITION = 3


class Parts:
    """Is session, group and broker to them. What a session does with what is sent, when the broker acknowledges and
    what is kept say those who take it on: `send`, `numbered`, `intend`, `report`, `state`, `turn_away`."""

    logged_on = True
    # Whether the group has given it the partition.
    has = True

    def __init__(self, holding, session="GATEWAY-1", store="store"):
        self.one, self.name, self.store_now, self.store = holding, session, store, self
        self.counts = Counter()
        self.flight = Flight(self, self, checked, 100, self.counts)
        self.answers = Answers(
            session, self.flight, self, self, self.counts,
            refuse=self.turn_away, released=self.go_on, told=lambda _: None,
        )  # fmt: skip
        self.flight.open()

    # Session

    def is_longer(self):
        return False

    def start(self):
        pass

    # Group

    def __iter__(self):
        return iter((self.one,) if self.has else ())

    @property
    def is_catching_up(self):
        return self.one.tracker.position < self.one.inherited.end

    def holding(self, _partition):
        return self.one if self.has else None

    def done(self, holding, offset):
        holding.tracker.complete(offset)

    # Broker

    def encode(self, report):
        return report.exec_id.encode()

    # Reading

    def take(self, made):
        """The next event of the partition."""
        offset = self.one.tracker.position
        self.one.tracker.begin(offset)
        taken = Taken(PARTITION, offset, made, facts_of(made), made.order_id.encode(), b"", [])
        self._do(judge(self.one, taken, 60, checked))

    def go_on(self, holding, order_id):
        self._do(judge_waiting(holding, order_id, 60, checked))

    def _do(self, decisions):
        for one in decisions:
            if isinstance(one, Refuse):
                self.turn_away(self.one, one)
            elif hasattr(one, "asked"):
                self.flight.expect(self.one, one)
                self.answers.expected(one)
            else:
                self.done(self.one, one.taken.offset)
