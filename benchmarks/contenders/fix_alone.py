"""The FIX engine alone: a client that makes messages, holds them against the dictionary, sends them, and takes the
reports off the queue; no Kafka, no states, nothing that outlives it."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from benchmarks.orders_fix import order_event
from feedline.orders.fix.connection import Connection
from feedline.orders.fix.dictionary import parse
from feedline.orders.fix.messages import message_of, terms_of
from feedline.orders.fix.session_policy import SessionPolicy

UNANSWERED = 2_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fix-port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--orders", type=int, default=10_000)
    args = parser.parse_args()
    connection = Connection(
        SessionPolicy(sender="GATEWAY-1", targets=("ENGINE",), folder=args.folder, port=args.fix_port)
    )
    events = [order_event() for _ in range(args.orders)]
    connection.start()
    while not connection.logged_on:
        time.sleep(0.01)
    began, cpu = time.monotonic(), time.process_time()
    reports = sent = 0
    # Each order is acknowledged and filled.
    while reports < 2 * args.orders:
        if sent < args.orders and sent - reports // 2 < UNANSWERED:
            event = events[sent]
            connection.send(parse(message_of(event, terms_of(event), 0, 0, sent), "GATEWAY-1", "ENGINE"))
            sent += 1
        elif connection.reports.empty():
            time.sleep(0.002)
        while not connection.reports.empty():
            connection.reports.get_nowait()
            reports += 1
    seconds, spent = time.monotonic() - began, time.process_time() - cpu
    connection.stop()
    print(json.dumps({"orders": args.orders, "seconds": seconds, "cpu": spent}))


if __name__ == "__main__":
    main()
