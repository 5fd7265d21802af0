"""What a recovery asks the engine about: every event that the engine may have lost since then, however it answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from feedline.kafka.config import consumer_config, producer_config
from feedline.kafka.registry import registry_client, schema_id
from feedline.orders.fix.dictionary import parse
from feedline.orders.fix.messages import terms_of
from feedline.orders.fix.outbox import Outbox
from feedline.orders.fix.states import Held
from feedline.orders.model import (
    Accepted,
    EventKind,
    ExecType,
    ExecutionReport,
    OrderEvent,
    OrdStatus,
    apply,
    encode_event,
    encode_report,
    event_headers,
    facts_of,
)
from feedline.orders.model.schemas import EXECUTION_REPORT, ORDER_EVENT, order_schema
from feedline.orders.recovery.window import Window, sent_in
from order_flow.flow import event

NEW, AMEND = EventKind.NEW, EventKind.AMEND
GATEWAYS = "feedline-orders.gateway.window"
# The engine was away before, and has lost what came since.
SINCE = datetime.now(UTC) - timedelta(hours=1)
BEFORE, AFTER = SINCE - timedelta(hours=3), SINCE + timedelta(minutes=5)


class Topics:
    """Events, reports and states on one partition of a test's topics, each with a time of its own."""

    def __init__(self, settings: Any, topics: Any) -> None:
        registry = registry_client(settings.registry)
        self._settings, self._topics = settings, topics
        self._event = schema_id(registry, f"{topics.out}-value", order_schema(ORDER_EVENT))
        self._report = schema_id(registry, f"{topics.executions}-value", order_schema(EXECUTION_REPORT))
        self._producer = Producer(producer_config(settings.kafka))
        self._outbox = Outbox(settings.kafka, settings.registry, topics)
        self._held: dict[str, Held] = {}
        self._offset = 0

    def enter(self, made: OrderEvent, at: datetime = BEFORE) -> None:
        """The event, and the order's state as it is with the engine's answer."""
        self._put(
            self._topics.out, made.order_id, encode_event(made, self._event), at, event_headers(made, facts_of(made))
        )
        held = self._held.get(made.order_id)
        verdict = apply(held.state if held else None, facts_of(made))
        assert isinstance(verdict, Accepted)
        held = (held or Held(verdict.state, terms_of(made))).after(verdict.state, self._offset)
        self._held[made.order_id] = held.answered(made.sequence, rejected=False, asked=terms_of(made))
        self._offset += 1
        self._outbox.state(0, made.order_id, self._held[made.order_id])

    def report(self, order_id: str, sequence: int, kind: ExecType, status: OrdStatus, at: datetime) -> None:
        amount = Decimal(5) if kind is ExecType.TRADE else None
        told = ExecutionReport(
            exec_id=f"{order_id}-{sequence}/{kind}", order_id=order_id, cl_ord_id=f"{order_id}-{sequence}",
            sequence=sequence, exec_type=kind, ord_status=status, last_qty=amount, last_px=amount,
            cum_qty=amount or Decimal(0), leaves_qty=Decimal(0), avg_px=amount or Decimal(0), text=None,
            transact_time=at, fix_session="GATEWAY-1", fix_seq_num=2, poss_dup=False,
        )  # fmt: skip
        self._put(self._topics.executions, order_id, encode_report(told, self._report), at, [])

    def unreadable(self, order_id: str) -> None:
        raw = f"35=8\x0111={order_id}-1\x0117=e\x01150=D\x0139=0".encode()
        self._outbox.refuse_report(order_id, raw, "restated", lambda: None)

    def window(self) -> set[str]:
        """ClOrdIDs of what is asked for, when the gateways have done all that lies there."""
        assert self._producer.flush(30) == 0
        assert self._outbox.flush(30)
        group = Consumer(consumer_config(self._settings.kafka, group_id=GATEWAYS))
        try:
            group.commit(offsets=[TopicPartition(self._topics.out, 0, self._offset)], asynchronous=False)
        finally:
            group.close()
        held = partial(parse, sender="RECOVERY", target="ENGINE")
        found = sent_in(self._settings, self._topics, Window(start=SINCE), held, GATEWAYS)
        assert all(one.is_sent and one.is_answered for one in found)
        return {one.name for one in found}

    def _put(self, topic: str, key: str, value: bytes, at: datetime, headers: Any) -> None:
        moment = int(at.timestamp() * 1000)
        self._producer.produce(topic, value, key, 0, timestamp=moment, headers=list(headers))


@pytest.fixture
def lain(stack, topics) -> Topics:
    return Topics(stack.settings, topics)


def test_an_event_is_asked_for_whatever_the_engine_said_first_since_then(lain: Topics):
    """Without acknowledging it: a market order is filled at once, one that is to be filled at once or not ends so."""
    first = {
        "acknowledged": (ExecType.NEW, OrdStatus.NEW),
        "filled": (ExecType.TRADE, OrdStatus.PARTIALLY_FILLED),
        "killed": (ExecType.CANCELED, OrdStatus.CANCELED),
        "expired": (ExecType.EXPIRED, OrdStatus.EXPIRED),
        "done": (ExecType.DONE_FOR_DAY, OrdStatus.DONE_FOR_DAY),
    }
    for name in [*first, "unread", "amended", "rested"]:
        lain.enter(event(name, 1, NEW))
    lain.enter(event("amended", 2, AMEND))
    lain.enter(event("later", 1, NEW), at=AFTER)
    for name, said in first.items():
        lain.report(name, 1, *said, AFTER)
    lain.unreadable("unread")
    lain.report("rested", 1, ExecType.NEW, OrdStatus.NEW, BEFORE)
    lain.report("amended", 1, ExecType.NEW, OrdStatus.NEW, BEFORE)
    lain.report("amended", 2, ExecType.TRADE, OrdStatus.PARTIALLY_FILLED, AFTER)
    assert lain.window() == {*(f"{name}-1" for name in first), "unread-1", "amended-2", "later-1"}
