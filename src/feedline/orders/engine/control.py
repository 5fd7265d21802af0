"""The engine's control port: a small HTTP API, for tests, demonstrations and `feedline orders engine-control`.

It is part of a simulation and asks nobody who they are: it listens on the loopback address unless told otherwise.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from feedline.errors import ConfigurationError, FeedlineError
from feedline.orders.engine.behaviour import Answer
from feedline.orders.engine.engine import Engine
from feedline.small_server import JSON, small_server


def _behave(engine: Engine, body: dict[str, Any]) -> Any:
    if "answer" in body:
        body["answer"] = Answer(body["answer"])
    return asdict(engine.behave(**body))


def _fill(engine: Engine, body: dict[str, Any]) -> Any:
    quantity = body.get("quantity")
    return {"reports": engine.fill(str(body["order"]), None if quantity is None else Decimal(str(quantity)))}


def _away(engine: Engine, body: dict[str, Any]) -> Any:
    engine.away()
    if body.get("seconds"):
        timer = threading.Timer(float(body["seconds"]), engine.back)
        timer.daemon = True
        timer.start()
    return {"away": True}


def _back(engine: Engine, body: dict[str, Any]) -> Any:  # noqa: ARG001
    engine.back()
    return {"away": False}


def _forget(engine: Engine, body: dict[str, Any]) -> Any:
    since = datetime.fromisoformat(str(body["since"]))
    if since.tzinfo is None:
        raise ValueError("since needs a time zone")
    return {"forgotten": engine.forget(since)}


_ACTIONS: Mapping[str, Callable[[Engine, dict[str, Any]], Any]] = {
    "/behaviour": _behave,
    "/fill": _fill,
    "/away": _away,
    "/back": _back,
    "/forget": _forget,
}


@contextmanager
def serve_control(engine: Engine, host: str, port: int) -> Iterator[int]:
    """Serves until the end of the block; yields the port, a free one for 0."""

    def answer(method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        status, document = _look(engine, path) if method == "GET" else _act(engine, path, body)
        return status, JSON, orjson.dumps(document)

    with small_server(answer, host, port, name="engine-control") as bound:
        yield bound


def _look(engine: Engine, path: str) -> tuple[int, Any]:
    asked = urlsplit(path)
    if asked.path == "/status":
        return 200, asdict(engine.status())
    if asked.path == "/book":
        order = parse_qs(asked.query).get("order", [None])[0]
        return 200, [asdict(one) for one in engine.arrivals(order)]
    return 404, {"error": "GET /status or /book"}


def _act(engine: Engine, path: str, body: bytes) -> tuple[int, Any]:
    action = _ACTIONS.get(path)
    if action is None:
        return 404, {"error": f"POST {', '.join(_ACTIONS)}"}
    try:
        document = orjson.loads(body or b"{}")
        if isinstance(document, dict):
            return 200, action(engine, document)
    except (ConfigurationError, KeyError, TypeError, ValueError, InvalidOperation) as error:
        return 400, {"error": str(error)}
    except FeedlineError as error:
        return 503, {"error": str(error)}
    return 400, {"error": "the body is a JSON object"}
