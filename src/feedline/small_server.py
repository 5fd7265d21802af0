"""A small HTTP server in a thread of its own, for probes and control ports."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Bodies are read up to here; what is larger is not read.
MAX_BODY = 64 * 1024
MAX_LENGTH_DIGITS = 18
JSON = "application/json"
# Whoever has begun a request and says no more for so long is let go, with the thread that listens to them.
SILENT_S = 30.0

# Status, content type and body of the answer to a method, a path with its query, and a body.
Answer = tuple[int, str, bytes]
Handles = Callable[[str, str, bytes], Answer]


@contextmanager
def small_server(handles: Handles, host: str, port: int, *, name: str) -> Iterator[int]:
    """Serves GET and POST until the end of the block; yields the port, a free one for 0. name: of its thread.

    `handles` runs in a thread of each request; it answers everything and raises nothing.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = SILENT_S
        server_version, sys_version = "feedline", ""

        def do_GET(self) -> None:
            self._send(handles("GET", self.path, b""))

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length") or "0"
            # A negative one would read until the caller ends, however much comes.
            if not (length.isascii() and length.isdecimal()):
                self._send((400, "text/plain", b"no length of a body\n"))
            elif len(length) > MAX_LENGTH_DIGITS or int(length) > MAX_BODY:
                self._send((413, "text/plain", b"too large\n"))
            else:
                self._send(handles("POST", self.path, self.rfile.read(int(length))))

        def _send(self, answer: Answer) -> None:
            status, content_type, body = answer
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Says nothing: probes come every few seconds."""

    server = ThreadingHTTPServer((host, port), Handler)
    thread = threading.Thread(target=server.serve_forever, name=name, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
