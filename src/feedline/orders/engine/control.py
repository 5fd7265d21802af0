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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from feedline.errors import ConfigurationError, FeedlineError
from feedline.orders.engine.behaviour import Answer
from feedline.orders.engine.engine import Engine

MAX_BODY = 64 * 1024


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

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            if asked.path == "/status":
                self._send(200, asdict(engine.status()))
            elif asked.path == "/book":
                order = parse_qs(asked.query).get("order", [None])[0]
                self._send(200, [asdict(one) for one in engine.arrivals(order)])
            else:
                self._send(404, {"error": "GET /status or /book"})

        def do_POST(self) -> None:
            action = _ACTIONS.get(self.path)
            size = int(self.headers.get("Content-Length") or 0)
            if action is None or size > MAX_BODY:
                self._send(404, {"error": f"POST {', '.join(_ACTIONS)}"})
                return
            try:
                self._send(200, action(engine, orjson.loads(self.rfile.read(size) or b"{}")))
            except (ConfigurationError, KeyError, TypeError, ValueError, InvalidOperation) as error:
                self._send(400, {"error": str(error)})
            except FeedlineError as error:
                self._send(503, {"error": str(error)})

        def _send(self, status: int, document: Any) -> None:
            body = orjson.dumps(document)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Says nothing."""

    server = ThreadingHTTPServer((host, port), Handler)
    thread = threading.Thread(target=server.serve_forever, name="engine-control", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
