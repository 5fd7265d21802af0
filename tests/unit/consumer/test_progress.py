"""A partition that waits its turn behind a load that goes on is not stalled; one that is stuck is, and so is what waits
for it."""

from __future__ import annotations

import threading
import time

from feedline.consumer.claim import Claim, Work
from feedline.consumer.handling import Handling
from feedline.consumer.pipeline_policy import Batching, Ordering, PipelinePolicy
from feedline.consumer.progress import Progress
from feedline.consumer.schedule import Schedule
from feedline.continuous import _Turn
from feedline.errors import RetriableError

LOADED, WAITS, QUIET = 0, 1, 2


def claims(began):
    made = [Claim("T", partition, 0, 1) for partition in range(3)]
    for claim in made:
        claim.moved_at = began
    return made


class Waiting:
    """One load at work, of partition 0; messages of partition 1 wait for it; nothing of partition 2 was read."""

    def __init__(self):
        self.claims = claims(began=0.0)
        self.progress = Progress()
        for claim in self.claims[:2]:
            claim.tracker.begin(0)
        self.claims[LOADED].in_hand = 1

    def since(self, *, full=False):
        self.progress.look(self.claims)
        return [self.progress.since(claim, queue_is_full=full) for claim in self.claims]


def test_what_waits_for_a_load_gets_on_as_the_load_does():
    waiting = Waiting()
    waiting.claims[LOADED].progressed_at = 500.0
    assert waiting.since() == [500.0, 500.0, 0.0]
    assert waiting.since(full=True) == [500.0, 500.0, 500.0]


def test_a_load_that_says_nothing_is_stuck_and_what_waits_for_it_too():
    waiting = Waiting()
    waiting.claims[LOADED].progressed_at = 10.0
    assert waiting.since(full=True) == [10.0] * 3
    # Nor does what was done before help for ever.
    waiting.progress.done(waiting.claims[WAITS], 20.0)
    assert waiting.since(full=True) == [10.0, 20.0, 20.0]


def test_a_stuck_load_is_seen_beside_one_that_goes_on():
    waiting = Waiting()
    waiting.claims[QUIET].in_hand = 1
    waiting.claims[QUIET].progressed_at = 900.0
    assert waiting.since() == [0.0, 900.0, 900.0]


def test_a_load_that_fails_over_and_over_gets_nowhere_however_far_it_comes():
    waiting = Waiting()
    waiting.claims[LOADED].failing = 1
    waiting.claims[LOADED].progressed_at = 500.0
    assert waiting.since() == [0.0] * 3


def test_a_handler_counts_as_getting_on_when_it_begins_and_whenever_it_says_so():
    schedule = Schedule(Ordering.TOPIC, Batching(max_messages=1))
    [claim, *_] = claims(began=0.0)
    seen = []

    def handle(work):
        seen.append(claim.progressed_at)
        work.progressed()
        seen.append(claim.progressed_at)
        raise RetriableError("the warehouse is away")

    handling = Handling(handle, None, schedule, PipelinePolicy(ordering=Ordering.TOPIC))
    schedule.put([(None, claim, 0, 10)])
    worker = threading.Thread(target=handling.work)
    worker.start()
    deadline = time.monotonic() + 30
    while not claim.failing and time.monotonic() < deadline:
        time.sleep(0.01)
    schedule.close()
    worker.join(30)
    assert 0.0 < seen[0] <= seen[1]
    assert claim.failing


def test_a_load_that_waits_for_its_turn_gets_on_while_the_one_that_has_it_does(monkeypatch):
    monkeypatch.setattr("feedline.continuous.TURN_LOOK_S", 0.01)
    lock, steps = threading.Lock(), [0]
    [claim, *_] = claims(began=0.0)
    turn = _Turn(lock, lambda: steps[0], Work([(None, claim, 0, 10)]))
    entered = threading.Event()

    def load():
        with turn:
            entered.set()

    with lock:
        waiter = threading.Thread(target=load)
        waiter.start()
        time.sleep(0.1)
        assert claim.progressed_at == 0.0
        steps[0] += 1
        deadline = time.monotonic() + 30
        while not claim.progressed_at and time.monotonic() < deadline:
            time.sleep(0.01)
        assert claim.progressed_at
        assert not entered.is_set()
    waiter.join(30)
    assert entered.is_set()
