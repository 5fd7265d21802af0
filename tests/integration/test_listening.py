"""A service over HTTP that is told to end answers what is at work and ends with 0."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys

import pytest

SERVICE = """
import asyncio
from fastapi import FastAPI
from pathlib import Path

from feedline.cli.listening import Listening, serve_application

app = FastAPI()

@app.get("/slow")
async def slow():
    print("at work", flush=True)
    await asyncio.sleep(1)
    return "done"

listening = Listening(host="127.0.0.1", port=0, settings=None, keys=Path("none"), cert=None, cert_key=None)
serve_application(app, listening, "test", "/slow")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_at_work_is_answered_and_the_service_ends_with_0(number):
    service = subprocess.Popen(
        [sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    assert service.stdout is not None
    assert service.stderr is not None
    try:
        told = service.stderr.readline()
        line = http.client.HTTPConnection("127.0.0.1", int(told.rsplit(":", 1)[1].split("/")[0]), timeout=60)
        line.request("GET", "/slow")
        assert service.stdout.readline() == "at work\n"
        service.send_signal(number)
        answer = line.getresponse()
        assert (answer.status, answer.read()) == (200, b'"done"')
        assert service.wait(60) == 0
    finally:
        service.kill()
        service.wait(10)
