"""An order that is looked up is found with all its events, whatever transaction of bulk entry is open before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from tests.unit.orders.orders_made import event

from feedline.orders.entry import past
from feedline.orders.model import EntrySource, EventKind, event_headers, facts_of
from feedline.orders.topics import OrderTopics

TOPICS = OrderTopics()


@dataclass
class Lying:
    """A message of HTTP entry as a client gives it."""

    sequence: int
    lies_at: int

    def key(self) -> bytes:
        return b"order-1"

    def headers(self) -> Any:
        kind = EventKind.NEW if self.sequence == 1 else EventKind.AMEND
        one = event(self.sequence, kind, source=EntrySource.HTTP)
        return list(event_headers(one, facts_of(one)))

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.lies_at


@pytest.fixture
def behind_an_open_transaction(monkeypatch):
    """A partition of six messages, told to readers of what is committed to end at 2 (in place of a broker): an open
    transaction begins there, and the order's second event lies behind it."""
    lying = {TOPICS.out: [Lying(1, 0), Lying(2, 4)], TOPICS.states: []}
    monkeypatch.setattr(past, "watermarks", lambda _kafka, _topic, _partitions: {0: (0, 2)})

    def read(_kafka, topic, spans, *, group, uncommitted=False):
        start, end = spans[0]
        return [one for one in lying[topic] if start <= one.lies_at < (end if uncommitted else min(end, 2))]

    monkeypatch.setattr(past, "read_spans", read)


@pytest.mark.parametrize(("until", "offsets"), [(6, [0, 4]), (4, [0])])
def test_an_event_behind_an_open_transaction_is_found_when_the_entry_has_read_so_far(
    behind_an_open_transaction, until, offsets
):
    known = past.Past({}, TOPICS, "gateways")._order("order-1", 0, until)
    assert [place.offset for place in known.places] == offsets
