"""What `orders.executions` tells of orders, to be held against what the engine says of them now."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from feedline.consumer.spans import read_spans
from feedline.errors import CorruptBatchError
from feedline.kafka.admin import offsets_at, watermarks
from feedline.orders.fix.messages import event_of
from feedline.orders.fix.reports import final_of
from feedline.orders.model import ExecType, ExecutionReport, decode_report
from feedline.orders.refused import REPORT_REFUSED, refused_messages
from feedline.orders.topics import RECOVERY_GROUP, OrderTopics
from feedline.settings import Settings

# The clocks of gateways, brokers and engine may differ by so much.
CLOCKS = timedelta(minutes=10)


@dataclass(slots=True)
class Stands:
    """How the engine says that an order stands. filled: the most that it has told; is_over: whether it ever said so."""

    filled: Decimal = Decimal(0)
    is_over: bool = False

    def take(self, filled: Decimal, *, is_over: bool) -> None:
        self.filled = max(self.filled, filled)
        self.is_over |= is_over


@dataclass(slots=True)
class Reported:
    """What reports tell of an order. steps: CumQty before each and after it, since the last one's has the lost ones in
    it too; is_over: whether a report says that the order is over."""

    steps: set[tuple[Decimal, Decimal]] = field(default_factory=set)
    is_over: bool = False

    def take(self, report: ExecutionReport) -> None:
        if report.exec_type is not ExecType.CANCEL_REJECTED:
            self.steps.add((report.cum_qty - (report.last_qty or 0), report.cum_qty))
        self.is_over |= final_of(report) is not None

    def take_unreadable(self, filled: Decimal, last: Decimal, *, is_over: bool) -> None:
        """One that is kept as it came; last: LastQty of a fill, 0 of another report."""
        self.steps.add((filled - last, filled))
        self.is_over |= is_over

    def add(self, other: Reported) -> None:
        self.steps |= other.steps
        self.is_over |= other.is_over

    def covers(self, stands: Stands, *, from_start: bool) -> bool:
        """Whether all that the engine tells is in these reports. from_start: they go back to the order's entry; if not,
        what was filled before the first of them is taken for reported."""
        steps = sorted(self.steps)
        reached = steps[0][0] if steps and not from_start else Decimal(0)
        for before, after in steps:
            if before > reached:
                break
            reached = max(reached, after)
        return reached >= stands.filled and self.is_over >= stands.is_over


def reported_since(
    settings: Settings, topics: OrderTopics, since: datetime, orders: Collection[str]
) -> dict[str, Reported]:
    """Of each of these orders, by the reports that were published since then, or shortly before: of an order that was
    entered then none is to be left out. Raises BrokerUnavailableError."""
    kafka = settings.acting_as("recovery").kafka
    starts = offsets_at(kafka, topics.executions, since - CLOCKS)
    ends = {partition: high for partition, (_, high) in watermarks(kafka, topics.executions, starts).items()}
    spans = {partition: (start, ends[partition]) for partition, start in starts.items()}
    found = {order: Reported() for order in orders}
    for message in read_spans(kafka, topics.executions, spans, group=RECOVERY_GROUP):
        of_order = found.get((message.key() or b"").decode(errors="replace"))
        if of_order is None:
            continue
        try:
            of_order.take(decode_report(message.value()))
        except CorruptBatchError:
            continue
    return found


def answered_since(settings: Settings, topics: OrderTopics, since: datetime) -> set[tuple[str, int]]:
    """Order and sequence of the events of which the engine has said anything since then, by its clock or by the
    gateways', also what could not be read.

    Whether that was its first word on the event does not show: it may fill or end an order without acknowledging it.
    So an order that rests since before is among them when it was filled, and the engine is asked in vain.
    Raises BrokerUnavailableError.
    """
    kafka = settings.acting_as("recovery").kafka
    starts = offsets_at(kafka, topics.executions, since - CLOCKS)
    ends = {partition: high for partition, (_, high) in watermarks(kafka, topics.executions, starts).items()}
    spans = {partition: (start, ends[partition]) for partition, start in starts.items()}
    found = set()
    for message in read_spans(kafka, topics.executions, spans, group=RECOVERY_GROUP):
        try:
            report = decode_report(message.value())
        except CorruptBatchError:
            continue
        if report.transact_time >= since or message.timestamp()[1] >= since.timestamp() * 1000:
            found.add((report.order_id, report.sequence))
    unread = (one for one in refused_messages(kafka, topics) if one.code == REPORT_REFUSED and one.refused_at >= since)
    return found | {event for one in unread if (event := event_of(one.cl_ord_id)) is not None}
