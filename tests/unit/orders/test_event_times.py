"""An event with a time of no day that anybody looks at is refused where it enters, and one that lies on the topic keeps
no other from being loaded."""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import UTC, datetime

import fastavro
import pytest
from tests.unit.orders.orders_made import event

from feedline.batch.wire import prefix
from feedline.orders.model import faults_of
from feedline.orders.model.codec import _event_document
from feedline.orders.model.plain import microseconds
from feedline.orders.model.schemas import ORDER_EVENT, order_schema, plain_schema
from feedline.orders.warehouse.decode import decode

DOTNET_DEFAULT, UNIX_ZERO = datetime(1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Lying:
    """A message as a client gives it: an event with that time, in microseconds since 1970."""

    time: int
    lies_at: int

    def value(self) -> bytes:
        written = io.BytesIO()
        written.write(prefix(7))
        fastavro.schemaless_writer(
            written, plain_schema(ORDER_EVENT), {**_event_document(event()), "transactTime": self.time}
        )
        return written.getvalue()

    def partition(self) -> int:
        return 3

    def offset(self) -> int:
        return self.lies_at


@pytest.mark.parametrize("time", [DOTNET_DEFAULT, UNIX_ZERO, datetime(2100, 1, 1, tzinfo=UTC)])
def test_a_time_of_no_day_is_a_fault_of_the_event(time):
    assert [one.field for one in faults_of(event(transact_time=time))] == ["transactTime"]
    assert faults_of(event()) == []


def test_one_message_with_such_a_time_leaves_the_others_to_be_loaded():
    good = event().transact_time
    times = [microseconds(one) for one in (DOTNET_DEFAULT, good, UNIX_ZERO, good)]
    lying = [Lying(time, offset) for offset, time in enumerate([*times, 2**63 - 1])]
    rows, bad = decode(lying, ("orderId", "transactTime"), lambda _: (order_schema(ORDER_EVENT), "AVRO"))
    assert [(row.offset, row.index, row.values["transactTime"]) for row in rows] == [(1, 1, good), (3, 3, good)]
    assert [one.message.offset() for one in bad] == [0, 2, 4]
    assert all("transactTime" in one.reason for one in bad)
