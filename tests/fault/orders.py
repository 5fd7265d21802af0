"""A run of orders on three brokers: services, what they are given, faults, and a history for the report."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from fault.drivers import event
from fault.world import World
from feedline.cli.output import TRY_AGAIN
from feedline.kafka.config import consumer_config
from feedline.orders.model import OrderEvent, decode_event, facts_of
from feedline.orders.provision import provision_orders
from feedline.orders.topics import OrderTopics
from feedline.services.api_keys import add_key
from feedline.services.roles import Role
from order_flow.books import BookCheck
from order_flow.clients import Clients
from order_flow.flow import Flow
from order_flow.topic_check import Found, Given, check_topic

PARTITIONS = 6
SAMPLE_S = 0.5


class OrderRun:
    """A context manager: whatever happens, its processes are gone afterwards.

    goal: what the picture counts beside what is acknowledged.
    """

    def __init__(self, world: World, home: Path, *, goal: str = "on orders.out", seed: int = 0) -> None:
        self.world, self.home = world, home
        self.name = os.environ.get("PYTEST_CURRENT_TEST", "run").split("::")[-1].removesuffix(" (call)")
        settings = world.settings
        file = home / "settings.json"
        document = {"kafka": settings.kafka, "registry": settings.registry, "warehouse": {}, "landing": str(home)}
        file.write_text(json.dumps(document))
        self.topics = OrderTopics(f"{home.name}.", PARTITIONS)
        provision_orders(settings, self.topics)
        self.flow = Flow(settings, file, self.topics, home, PARTITIONS)
        self.keys = home / "keys.json"
        _, self.key = add_key(self.keys, "desk", Role.OPERATOR)
        self.clients: Clients | None = None
        self._goal = goal
        self._seen: dict[tuple[int, int], tuple[str, int]] = {}
        self._backward: list[str] = []
        self._ending = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        world.runs.append((self.name, home))
        event(home, "run", seed=seed, goal=goal)

    def __enter__(self) -> Self:
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.clients is not None:
            self.clients.give_up()
        self._ending.set()
        self._watch.join(30)
        self.flow.close()

    # What happens

    def fault(self, what: str, **proof: Any) -> None:
        event(self.home, "fault", what=what, **proof)

    def kill(self, name: str) -> None:
        """SIGKILL of a service as it is now."""
        pid = self.flow.processes[name].pid
        self.flow.kill(name)
        self.fault(f"SIGKILL of {name}", pid=pid, exit=self.flow.processes[name].returncode)
        assert self.flow.processes[name].returncode == -signal.SIGKILL

    def end(self, name: str, *, broker_down: bool = False) -> None:
        """SIGTERM of a service, which ends well; broker_down: it may also say that its last call was not answered."""
        self.flow.wait_for(lambda: self.flow.is_up(name), f"{name} is up")
        code = self.flow.end(name)
        self.fault(f"SIGTERM of {name}", exit=code)
        assert code == 0 or (broker_down and code == TRY_AGAIN), (
            f"{name} ended with {code}: {(self.home / f'{name}.log').read_text()[-1500:]}"
        )

    def kill_broker(self, node: int) -> None:
        self.fault(f"SIGKILL of broker {node}", pid=self.world.cluster.kill(node))
        assert self.world.cluster.pid(node) is None

    def await_acknowledged(self, more: int) -> None:
        """So many more events are acknowledged than now."""
        clients = self.clients
        assert clients is not None
        wanted = clients.acknowledged() + more
        self.flow.wait_for(lambda: clients.acknowledged() >= wanted, f"{more} more are acknowledged")

    def start_entries(self, *names: str, **options: Any) -> None:
        """Returns when they can be asked."""
        for name in names:
            self.flow.start_entry(name, self.keys, **options)
        for name in names:
            self.flow.wait_for(lambda name=name: self.flow.entry_is_ready(name), f"{name} is ready")

    def start_clients(self, *names: str, **options: Any) -> Clients:
        """Callers of those instances, whether they are there or not."""
        ports = [self.flow.ports[name] for name in names]
        self.clients = Clients(lambda: ports, self.key, **options)
        self.clients.start()
        return self.clients

    @property
    def landed(self) -> int:
        """Events that a reader of committed messages has seen on `orders.out`."""
        return len(self._seen)

    def has_landed(self, events: list[OrderEvent]) -> bool:
        """Whether such a reader has seen all of these."""
        return {(one.order_id, one.sequence) for one in events} <= set(self._seen.copy().values())

    # What is left

    def found(self) -> list[Found]:
        """All of the topic, by a reader of its own: events of HTTP entry by account, those of bulk entry by order."""
        return [
            _found(decode_event(message.value()), message.partition(), message.offset())
            for message in self.flow.read(self.topics.out, PARTITIONS)
        ]

    def check_topic(self, given: list[Given]) -> BookCheck:
        """Also against what a reader saw while it happened."""
        found = self.found()
        check = check_topic(given, found)
        lies = {one.place: (one.order_id, one.name[1]) for one in found}
        seen = dict(self._seen)
        wrong = {
            "inconsistent offsets": [str(place) for place, what in seen.items() if lies.get(place, what) != what],
            "aborted read": [str(place) for place in seen if place not in lies],
            "nonmonotonic poll": self._backward,
        }
        findings = {name: [*check.findings.get(name, ()), *told] for name, told in wrong.items() if told}
        return BookCheck({**check.findings, **findings}, {**check.counts, "seen meanwhile": len(seen)})

    def verdict(self, check: BookCheck) -> BookCheck:
        """Into the history; returns it."""
        event(self.home, "verdict", verdict=str(check), findings=sorted(check.findings))
        return check

    # The history

    def _look(self) -> None:
        """A reader of its own partitions all the while, and a sample of how far it all is."""
        config = consumer_config(self.world.settings.kafka, group_id="witness") | {"auto.offset.reset": "earliest"}
        consumer = Consumer(config)
        consumer.assign([TopicPartition(self.topics.out, number, 0) for number in range(PARTITIONS)])
        last: dict[int, int] = {}
        sampled = 0.0
        try:
            while not self._ending.is_set():
                with suppress(KafkaException):
                    for message in consumer.consume(500, timeout=0.2):
                        if message.error() is None:
                            self._saw(message, last)
                if time.monotonic() - sampled >= SAMPLE_S:
                    sampled = time.monotonic()
                    event(self.home, "rows", acknowledged=self._acknowledged(), rows=self._arrived())
        finally:
            consumer.close()

    def _saw(self, message: Any, last: dict[int, int]) -> None:
        partition, offset = message.partition(), message.offset()
        if offset <= last.get(partition, -1):
            self._backward.append(f"{partition}/{offset} after {last[partition]}")
        last[partition] = offset
        one = decode_event(message.value())
        self._seen[partition, offset] = (one.order_id, one.sequence)

    def _acknowledged(self) -> int:
        return len(self.flow.expected) if self.clients is None else self.clients.acknowledged()

    def _arrived(self) -> int:
        return len(self.flow.book()) if "booked" in self._goal else len(self._seen)


def bulk_given(events: list[OrderEvent]) -> list[Given]:
    """Events of the bulk topic as what must be published."""
    return [Given((one.order_id, one.sequence), facts_of(one).content.hex(), once=True) for one in events]


def _found(one: OrderEvent, partition: int, offset: int) -> Found:
    if one.source == "HTTP":
        quantity = "" if one.order is None or one.order.quantity is None else f" {int(one.order.quantity)}"
        return Found((one.account_id, one.sequence), f"{one.kind}{quantity or ' '}", (partition, offset), one.order_id)
    return Found((one.order_id, one.sequence), facts_of(one).content.hex(), (partition, offset), one.order_id)
