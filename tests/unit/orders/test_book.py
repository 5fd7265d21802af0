"""A book knows each order by its own id, and by nothing that merely looks like it."""

from __future__ import annotations

import pytest
from tests.unit.orders.orders_made import event

from feedline.orders.model import Accepted, EventKind, facts_of
from feedline.orders.model.book import Book, Place

MADE = "0d7c1f5e-9a3b-4c7d-8e21-5b6f0a9c4d12"


@pytest.mark.parametrize(
    "alike", [MADE.upper(), f"----{MADE.replace('-', '')}", f"{MADE.replace('-', '')}-----"[:36], MADE.replace("-", "")]
)
def test_ids_that_stand_for_one_uuid_are_two_orders(alike):
    book = Book(10)
    for at, order_id in enumerate((MADE, alike)):
        one = facts_of(event(1, EventKind.NEW, order_id=order_id))
        assert isinstance(book.record(one, Place(0, at)), Accepted)
    assert [known.places[0].offset for known in map(book.find, (MADE, alike)) if known] == [0, 1]
