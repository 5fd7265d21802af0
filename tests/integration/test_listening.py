"""Services over HTTP: how they end, and whom they take a caller to be."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

SERVICE = """
import asyncio, sys
from fastapi import FastAPI, Request
from pathlib import Path

from feedline.cli.listening import Listening, serve_application

app = FastAPI()

@app.get("/slow")
async def slow():
    print("at work", flush=True)
    await asyncio.sleep(1)
    return "done"

@app.get("/who")
async def who(request: Request):
    return request.client.host

listening = Listening(
    host="127.0.0.1", port=0, settings=None, keys=Path("none"), cert=None, cert_key=None, proxies=tuple(sys.argv[1:])
)
serve_application(app, listening, "test", "/slow")
"""


@contextmanager
def serving(*proxies: str) -> Iterator[tuple[subprocess.Popen[str], Callable[..., http.client.HTTPConnection]]]:
    """The service, and what makes a line to it."""
    service = subprocess.Popen(
        [sys.executable, "-c", SERVICE, *proxies], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert service.stderr is not None
    try:
        port = int(service.stderr.readline().rsplit(":", 1)[1].split("/")[0])
        yield service, lambda: http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    finally:
        service.kill()
        service.wait(10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_at_work_is_answered_and_the_service_ends_with_0(number):
    with serving() as (service, connect):
        line = connect()
        line.request("GET", "/slow")
        assert service.stdout.readline() == "at work\n"
        service.send_signal(number)
        answer = line.getresponse()
        assert (answer.status, answer.read()) == (200, b'"done"')
        assert service.wait(60) == 0


@pytest.mark.parametrize(("proxies", "taken_for"), [(["127.0.0.0/8"], "192.0.2.7"), (["10.0.0.1"], "127.0.0.1")])
def test_a_caller_is_counted_by_its_own_address_only_behind_a_proxy_that_is_named(proxies, taken_for):
    with serving(*proxies) as (_, connect):
        line = connect()
        line.request("GET", "/who", headers={"X-Forwarded-For": "192.0.2.7"})
        assert line.getresponse().read() == f'"{taken_for}"'.encode()
