"""A PipelinedConsumer without threads: the test says when it takes a turn, and when a worker begins and ends."""

from __future__ import annotations

from collections import defaultdict

from tests.unit.consumer.scripted_client import TOPIC

from feedline.consumer import pipelined
from feedline.consumer.pipeline_policy import Backoff, PipelinePolicy
from feedline.errors import RetriableError

# Commits in every turn; what is in hand when a partition goes is not waited for.
AT_ONCE = {"commit_s": 0.0, "drain_s": 0.0, "backoff": Backoff(first_s=1e-9, most_s=1e-9)}


class Driven:
    """handled: by partition the offsets whose handler has succeeded, as often as it has."""

    def __init__(self, client, monkeypatch, *, positions=None, **policy):
        self.client, self.handled, self.failing = client, defaultdict(list), False
        self.consumer = pipelined.PipelinedConsumer(
            {"bootstrap.servers": "none"},
            self._handle,
            group_id="G",
            topics=[TOPIC],
            policy=PipelinePolicy(**AT_ONCE | policy),
            positions=positions,
        )

        def opened(_kind, settings):
            client.on_commit = settings["on_commit"]
            return client

        monkeypatch.setattr(pipelined, "open_client", opened)
        self.consumer._open()

    def turn(self):
        """As the polling thread; raises what would stop it."""
        self.consumer._turn(self.client)
        if self.consumer._failed():
            raise self.consumer._failure

    def begin(self):
        """A worker takes the next messages, when there are any."""
        schedule = self.consumer._schedule
        return schedule.take(1) if schedule._queued or schedule._due else None

    def finish(self, hold, *, well=True):
        self.failing = not well
        self.consumer._handling._handle(hold)

    def work(self):
        """Begins and finishes all that is there."""
        while (hold := self.begin()) is not None:
            self.finish(hold)

    def settle(self):
        """Until nothing more happens."""
        for _ in range(4):
            for partition in self.client.readings:
                self.client.fetch(partition)
            while self.client.queue:
                self.turn()
                self.work()
            self.turn()

    def _handle(self, work):
        if self.failing:
            raise RetriableError("not now")
        for message in work.messages:
            self.handled[message.partition()].append(message.offset())
