"""Callers of order entry over HTTP that do not give up: what is not answered as entered is asked again, elsewhere."""

from __future__ import annotations

import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from order_flow.topic_check import Given, Name, Place

REQUEST_S = 30.0
OPEN_S = 0.05
ENTERED = (200, 201)
# What a caller asks again after, when it says when.
BUSY = (429, 503)


@dataclass
class _Asked:
    """One event as it was asked for, and how it was answered. order_ids: as the answers name it."""

    name: Name
    content: str
    places: list[Place] = field(default_factory=list)
    order_ids: set[str] = field(default_factory=set)


@dataclass
class Clients:
    """So many callers, each with lives of its own: new, amended, cancelled. ports: of the instances that may be asked
    now; keyed: with an Idempotency-Key, so that what is asked again is the same order.

    counts: answers by status, and `cut`: requests without an answer. wrong: answers that nobody should get.
    """

    ports: Callable[[], Sequence[int]]
    key: str
    count: int = 4
    seed: int = 1
    keyed: bool = True
    pause_s: float = 0.01
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _asked: list[_Asked] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    _giving_up: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        for number in range(self.count):
            thread = threading.Thread(target=self._work, args=(number,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self, within_s: float = 120.0) -> None:
        """Returns when each has got the answers of the order that it is at."""
        self._ending.set()
        deadline = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        assert not any(one.is_alive() for one in self._threads), f"not answered in {within_s:g} s: {self.counts}"

    def give_up(self) -> None:
        """Ends without waiting for answers."""
        self._ending.set()
        self._giving_up.set()
        for thread in self._threads:
            thread.join(REQUEST_S)

    def given(self) -> list[Given]:
        return [Given(one.name, one.content, tuple(one.places), bool(one.places)) for one in list(self._asked)]

    def acknowledged(self) -> int:
        return sum(bool(one.places) for one in list(self._asked))

    def order_ids(self) -> dict[str, set[str]]:
        """By account the order ids that were answered: one each, or a repeated request was another order."""
        found: dict[str, set[str]] = {}
        for one in self._asked:
            found.setdefault(one.name[0], set()).update(one.order_ids)
        return found

    def _work(self, number: int) -> None:
        chance = random.Random(self.seed * 1_000 + number)
        life = 0
        while not self._ending.is_set():
            life += 1
            self._live(chance, f"A{self.seed}.{number}.{life}")

    def _live(self, chance: random.Random, account: str) -> None:
        order_id = ""
        kinds = ["NEW", *["AMEND"] * chance.randrange(3), *["CANCEL"] * chance.randrange(2)]
        for sequence, kind in enumerate(kinds, start=1):
            asked = _Asked((account, sequence), f"{kind} {'' if kind == 'CANCEL' else 100 + sequence}")
            self._asked.append(asked)
            while not asked.places and not self._giving_up.is_set():
                ports = list(self.ports())
                # Now and then at two instances at the same moment.
                twice = self.keyed and len(ports) > 1 and chance.random() < 0.1
                self._ask(asked, order_id, chance.sample(ports, 2) if twice else [chance.choice(ports)])
            if not asked.places:
                return
            if chance.random() < 0.1 and self.keyed:
                self._ask(asked, order_id, [chance.choice(list(self.ports()))])
            order_id = next(iter(asked.order_ids))
            time.sleep(self.pause_s * chance.random() * 2)

    def _ask(self, asked: _Asked, order_id: str, ports: Sequence[int]) -> None:
        method, path, body = _request(asked, order_id)
        headers = {"X-API-Key": self.key, "Content-Type": "application/json"}
        if self.keyed:
            headers["Idempotency-Key"] = f"k-{asked.name[0]}"
        lines = []
        for port in ports:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=REQUEST_S)
            try:
                line.request(method, path, json.dumps(body), headers)
            except (OSError, http.client.HTTPException):
                self.counts["cut"] += 1
                line.close()
            else:
                lines.append(line)
        wait_s = OPEN_S if not lines else 0.0
        for line in lines:
            try:
                answer = line.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException):
                self.counts["cut"] += 1
                wait_s = OPEN_S
                continue
            finally:
                line.close()
            wait_s = max(wait_s, self._answered(asked, answer, content))
        time.sleep(wait_s)

    def _answered(self, asked: _Asked, answer: http.client.HTTPResponse, content: bytes) -> float:
        """Takes one answer; how long to wait before asking again."""
        self.counts[str(answer.status)] += 1
        if answer.status in ENTERED:
            told = json.loads(content)
            asked.order_ids.add(told["orderId"])
            asked.places.append((told["partition"], told["offset"]))
            return 0.0
        retry = answer.headers.get("Retry-After")
        if answer.status not in BUSY or retry is None or json.loads(content).get("outcome") is None:
            self.wrong.append(f"{asked.name} {answer.status} {content[:200]!r}")
            return 0.5
        self.counts[f"503 {json.loads(content)['outcome']}"] += 1
        return min(float(retry), 0.3)


def _request(asked: _Asked, order_id: str) -> tuple[str, str, dict[str, Any]]:
    account, sequence = asked.name
    kind, _, quantity = asked.content.partition(" ")
    body: dict[str, Any] = {"accountId": account, "product": "EQUITY"}
    if kind == "CANCEL":
        return "POST", f"/orders/{order_id}/cancel", {**body, "sequence": sequence}
    body["order"] = {
        "side": "BUY", "orderType": "LIMIT", "quantity": quantity, "limitPrice": "189.25", "currency": "USD",
        "symbol": "AAPL",
    }  # fmt: skip
    if kind == "NEW":
        return "POST", "/orders", body
    return "PUT", f"/orders/{order_id}", {**body, "sequence": sequence}
