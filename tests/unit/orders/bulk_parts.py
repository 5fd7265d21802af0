"""Bulk entry on stand-ins, for group, offsets and transactions, that keep and refuse what the broker does."""

from __future__ import annotations

from collections import Counter

from confluent_kafka import KafkaError, KafkaException
from tests.unit.consumer.scripted_client import Broker, Client
from tests.unit.orders.orders_made import event

from feedline.orders.bulk import service, transaction
from feedline.orders.bulk.delays import read_delay
from feedline.orders.bulk.lane import LanePolicy
from feedline.orders.bulk.reading import Read
from feedline.orders.bulk.service import BulkEntry, BulkPolicy
from feedline.orders.bulk.transaction import Transactions
from feedline.orders.model import facts_of
from feedline.orders.model.book import Book, Place
from feedline.settings import Settings

EVENTS = 5


def order_of(offset):
    return event(order_id=f"o{offset}", event_id=f"e{offset}")


class TransactionalProducer:
    """For Producer: what a transaction holds counts with its offsets, which only the partitions' owner may commit."""

    def __init__(self, broker):
        self.broker, self.published, self.open, self.offsets = broker, [], [], []
        self.on_delivery = None

    def init_transactions(self, _left): ...

    def begin_transaction(self):
        self.open, self.offsets = [], []

    def produce(self, _topic, _value, key, _partition, headers):
        self.open.append(key)

    def send_offsets_to_transaction(self, offsets, _group, _left):
        if not {one.partition for one in offsets} <= self.broker.ours:
            raise KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION, txn_requires_abort=True))
        self.offsets = offsets

    def flush(self, _left):
        return 0

    def commit_transaction(self, _left):
        self.published += self.open
        self.broker.committed.update({one.partition: one.offset for one in self.offsets})
        self.broker.metadata.update({one.partition: one.metadata for one in self.offsets})

    def abort_transaction(self, _left):
        self.open, self.offsets = [], []


class World:
    """producers: made one after the other, the first at once; the last one stays when there is no other."""

    def __init__(self, monkeypatch, tmp_path, delay="0", producers=(TransactionalProducer,), transaction_s=10.0):
        self.broker = Broker.holding(p0=EVENTS, p1=0)
        self.client = Client(self.broker, ends=False)
        self.producers = [kind(self.broker) for kind in producers]
        self.made = 0
        monkeypatch.setattr(transaction, "Producer", self._make)
        self.transactions = Transactions({}, "one", transaction_s=transaction_s, call_s=30.0)
        self.client.consumer_group_metadata = lambda: None
        monkeypatch.setattr(service, "watermarks", lambda _k, _t, numbers: dict.fromkeys(numbers, (0, EVENTS)))
        monkeypatch.setattr(service, "read_books", lambda _k, _t, numbers, **_: {n: self.book() for n in numbers})
        settings = Settings(kafka={}, registry={"url": "http://none"}, warehouse={}, landing=tmp_path)
        # Progress is committed with every step.
        policy = BulkPolicy(lane=LanePolicy(read_delay(delay)), linger_s=0.0, idle_commit_s=1e-9)
        self.entry = BulkEntry(settings, "one", policy=policy)
        self.entry._reader = self
        self.client.subscribe(
            [], on_assign=self.entry._assigned, on_revoke=self.entry._revoked, on_lost=self.entry._revoked
        )

    def _make(self, settings):
        made = self.producers[self.made]
        made.on_delivery = settings["on_delivery"]
        self.made = min(self.made + 1, len(self.producers) - 1)
        return made

    @property
    def published(self):
        return [key for producer in self.producers for key in producer.published]

    def read(self, message):
        return Read(order_of(message.offset()), b"")

    def book(self):
        """As it is read back from the topic."""
        made = Book(1_000)
        for place, key in enumerate(self.published):
            made.adopt(facts_of(order_of(int(key[1:]))), Place(0, place))
        return made

    def step(self):
        self.entry._step(self.client, self.transactions)

    def settle(self):
        for _ in range(4):
            for partition in self.client.readings:
                self.client.fetch(partition)
            self.step()

    @property
    def is_well(self):
        once = Counter(f"o{offset}".encode() for offset in range(EVENTS))
        return Counter(self.published) == once and self.broker.committed[0] == EVENTS
