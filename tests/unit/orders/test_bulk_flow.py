"""The flow of made-up orders in bulk, while it runs; the broker is a stand-in that acknowledges at once."""

from __future__ import annotations

from itertools import count

from confluent_kafka import Message
from tests.unit.orders.orders_made import event

from feedline.orders.demo import flow
from feedline.orders.topics import OrderTopics
from feedline.settings import Settings

EVENTS = 20


class Acknowledging:
    def __init__(self, _settings):
        self.reports = []

    def produce(self, topic, _value, _key, *, headers, on_delivery):
        assert dict(headers)["correlationId"]
        self.reports.append((on_delivery, Message(topic=topic, partition=0, offset=len(self.reports))))

    def poll(self, _timeout):
        for report, message in self.reports:
            report(None, message)
        self.reports.clear()

    def close(self): ...


def test_what_was_entered_is_told_while_it_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(flow, "Producer", Acknowledging)
    monkeypatch.setattr(flow, "registry_client", lambda _: None)
    monkeypatch.setattr(flow, "schema_id", lambda *_: 1)
    settings = Settings(kafka={}, registry={"url": "http://none"}, warehouse={}, landing=tmp_path)
    tally, told = flow.Tally(), []

    def lives():
        for number in count():
            told.append(tally.entered)
            yield [event(order_id=f"o{number}", event_id=f"e{number}")]

    flow.enter_in_bulk(settings, OrderTopics(), lives(), flow.Pace(10_000, EVENTS / 10_000), tally)
    assert told == list(range(EVENTS))
    assert tally.entered == EVENTS
