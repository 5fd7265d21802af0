"""Orders over HTTP from many connections, each with one request at a time: as little work as a client can do.

Prints a JSON line: orders, seconds, answers by status, latencies in milliseconds. The requests are made before the
clock starts, and of an answer only the status is read, so that what is measured beside it is the service.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import uvloop

BODY = json.dumps(
    {
        "accountId": "ACC0000001",
        "product": "EQUITY",
        "order": {
            "side": "BUY",
            "orderType": "LIMIT",
            "quantity": "100",
            "limitPrice": "189.25",
            "currency": "USD",
            "symbol": "AAPL",
            "isin": "US0378331005",
        },
    }
).encode()
LENGTH = b"content-length:"


def request(place: str, key: str, *, keyed: bool) -> bytes:
    """A whole request; keyed: with an Idempotency-Key of its own."""
    named = f"Idempotency-Key: {uuid.uuid4()}\r\n" if keyed else ""
    head = (
        f"POST /orders HTTP/1.1\r\nHost: {place}\r\nX-API-Key: {key}\r\n{named}Content-Type: application/json\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n"
    )
    return head.encode() + BODY


class Caller(asyncio.Protocol):
    """One connection: the next request goes out when the answer to the one before is whole."""

    def __init__(self, requests: Iterator[bytes], statuses: Counter[int], took: list[float]) -> None:
        self._requests, self._statuses, self._took = requests, statuses, took
        self._sent_at = 0.0
        self._pending = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def send(self) -> None:
        following = next(self._requests, None)
        if following is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(following)

    def data_received(self, data: bytes) -> None:
        self._pending += data
        head_end = self._pending.find(b"\r\n\r\n")
        if head_end < 0:
            return
        at = self._pending.lower().index(LENGTH) + len(LENGTH)
        length = int(self._pending[at : self._pending.index(b"\r\n", at)])
        if len(self._pending) < head_end + 4 + length:
            return
        self._took.append(time.perf_counter() - self._sent_at)
        self._statuses[int(self._pending[9:12])] += 1
        self._pending = b""
        self.send()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def load(urls: list[str], key: str, *, orders: int, connections: int, keyed: bool) -> dict[str, object]:
    """Sends `orders` orders; connections: over all addresses, as evenly as they go."""
    places = [urlsplit(url).netloc for url in urls]
    requests = iter([request(places[0], key, keyed=keyed) for _ in range(orders)])
    statuses: Counter[int] = Counter()
    took: list[float] = []
    loop, callers = asyncio.get_running_loop(), []
    for number in range(connections):
        host, _, port = places[number % len(places)].partition(":")
        _, caller = await loop.create_connection(lambda: Caller(requests, statuses, took), host, int(port))
        callers.append(caller)
    began, cpu = time.perf_counter(), time.process_time()
    for caller in callers:
        caller.send()
    await asyncio.gather(*(caller.done for caller in callers))
    seconds = time.perf_counter() - began
    milliseconds = sorted(1000 * one for one in took)
    return {
        "records": sum(statuses.values()),
        "raw_bytes": len(BODY) * orders,
        "seconds": seconds,
        "cpu": time.process_time() - cpu,
        "statuses": dict(statuses),
        "latency_ms": [milliseconds[int(len(milliseconds) * share)] for share in (0.5, 0.95, 0.99)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", action="append", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--keyed", action="store_true", help="each order under an Idempotency-Key of its own")
    args = parser.parse_args()
    uvloop.install()
    found = asyncio.run(load(args.url, args.key, orders=args.orders, connections=args.connections, keyed=args.keyed))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
