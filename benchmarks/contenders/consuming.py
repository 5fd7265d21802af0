"""What the consuming contenders share: their arguments, their client, and what they say at the end.

Work on a message is a wait, as for a database or another service: it costs a contender a place in its pool, no CPU.
"""

from __future__ import annotations

import argparse
import json
import uuid
from pathlib import Path
from typing import Any

from feedline.settings import load_settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--settings", type=Path, required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--messages", type=int, required=True, help="stop after so many")
    parser.add_argument("--records-a-message", type=int, required=True)
    parser.add_argument("--work-ms", type=float, required=True, help="how long the work on a message waits")
    parser.add_argument("--in-flight", type=int, required=True, help="messages worked on at once, at most")


def group() -> str:
    return f"bench-{uuid.uuid4().hex}"


def client(args: argparse.Namespace) -> dict[str, Any]:
    """A new group's consumer, from the beginning of the topic."""
    return {
        "bootstrap.servers": load_settings(args.settings).kafka["bootstrap.servers"],
        "group.id": group(),
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
    }


def report(args: argparse.Namespace, *, raw_bytes: int, seconds: float) -> None:
    """The line that `run_contender` reads."""
    said = {"records": args.messages * args.records_a_message, "raw_bytes": raw_bytes, "seconds": seconds}
    print(json.dumps({**said, "messages": args.messages}))
