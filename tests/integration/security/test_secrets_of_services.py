"""Services that run with secrets in their settings, called wrongly in every way: nothing that they answer, print or
keep shows one. No broker, registry or warehouse answers them, so every error of theirs is told too."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from feedline.services.api_keys import add_key
from feedline.services.roles import Role

MARK = "pl4nted"
WITHIN_S = 240
BASIC = base64.b64encode(b"somebody:pl4nted-basic").decode()
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJwbDRudGVkIn0.pl4ntedSignature"
WRONG_CALLERS = [
    {"X-API-Key": f"fl_0123456789ab_{MARK}-key-that-is-as-long-as-a-real-one-is-x"},
    {"Authorization": f"Bearer {JWT}"},
    {"Authorization": f"Basic {BASIC}"},
    {"Cookie": f"session={MARK}-cookie"},
]
CALLS = {
    "metadata": [
        ("GET", "/ui/", None),
        ("GET", "/feeds", None),
        ("GET", "/feeds/accounts", None),
        ("GET", "/subjects", None),
        ("POST", "/subjects/s/versions", {"schema": f'{{"password": "{MARK}-in-a-schema'}),
        ("PUT", "/config/s", {"compatibility": f"password={MARK}-level"}),
        ("POST", "/feeds/accounts/versions", {"client_secret": f"{MARK}-field"}),
        ("GET", f"/schemas/ids/password={MARK}-id", None),
    ],
    "provisioning": [
        ("POST", "/plans", {"parts": ["topics"]}),
        ("POST", "/plans", {"parts": ["schemas"], "password": f"{MARK}-field"}),
        ("POST", "/plans", {"parts": [f"token={MARK}-part"]}),
        ("POST", "/plans", f"password={MARK}-body"),
        ("GET", "/drift?part=tables", None),
        ("POST", f"/plans/password={MARK}-path/apply", {}),
        ("GET", "/audit", None),
        ("GET", "/openapi.json", None),
    ],
}


def _settings(folder):
    return {
        "kafka": {
            "bootstrap.servers": "127.0.0.1:1",
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "somebody",
            "sasl.password": f"{MARK}-kafka",
        },
        "registry": {"url": "http://127.0.0.1:1", "basic.auth.user.info": f"registryuser:{MARK}-registry"},
        "warehouse": {
            "account": "a", "user": "u", "password": f"{MARK}-warehouse", "host": "127.0.0.1", "port": 1,
            "protocol": "http", "login_timeout": 2, "network_timeout": 2,
        },
        "principals": {"provisioning": {"sasl.username": "them", "sasl.password": {"env": "PROVISIONING_PASSWORD"}}},
        "landing": str(folder / "landing"),
    }  # fmt: skip


@pytest.mark.parametrize("service", sorted(CALLS))
def test_a_running_service_tells_its_secrets_nowhere(service, tmp_path):
    settings, keys = tmp_path / "settings.json", tmp_path / "keys.json"
    settings.write_text(json.dumps(_settings(tmp_path)))
    _, key = add_key(keys, "somebody", Role.OPERATOR)
    books, printed = tmp_path / "books", tmp_path / "printed"
    command = [
        str(Path(sys.executable).with_name("feedline")), "--debug", "serve", service, "--port", "0",
        "--settings", str(settings), "--keys", str(keys),
    ]  # fmt: skip
    environment = {**os.environ, "FEEDLINE_PROVISION_BOOKS": str(books), "PROVISIONING_PASSWORD": f"{MARK}-env"}
    with (
        printed.open("w") as output,
        subprocess.Popen(command, env=environment, stdout=output, stderr=output) as running,
    ):
        try:
            with httpx.Client(base_url=_address(running, printed, service), timeout=WITHIN_S) as client:
                asked = [
                    *((headers, *CALLS[service][1]) for headers in WRONG_CALLERS),
                    *(({"X-API-Key": key}, *call) for call in CALLS[service]),
                ]
                with ThreadPoolExecutor(4) as pool:
                    answers = list(pool.map(lambda one: _ask(client, *one), asked))
        finally:
            running.send_signal(signal.SIGTERM)
    told = printed.read_text()
    kept = [file for file in books.rglob("*") if file.is_file()] if books.exists() else []
    assert {answer.status_code for answer in answers[: len(WRONG_CALLERS)]} == {401}
    assert {answer.status_code for answer in answers} & {502, 503}, "no error of what lies behind was told"
    for text in (told, *(file.read_text() for file in kept), *(f"{one.headers} {one.text}" for one in answers)):
        assert MARK not in text
        assert key not in text
    assert "DEBUG" in told, "nothing was logged that could have shown one"


def _address(running, printed, service):
    deadline = time.monotonic() + WITHIN_S
    while running.poll() is None and time.monotonic() < deadline:
        for line in printed.read_text().splitlines():
            if line.startswith(f"{service}: http"):
                return line.split()[1].removesuffix("/ui/")
        time.sleep(0.1)
    raise AssertionError(printed.read_text()[-2000:])


def _ask(client, headers, method, path, body):
    if isinstance(body, str):
        return client.request(method, path, content=body, headers={**headers, "content-type": "application/json"})
    return client.request(method, path, json=body, headers=headers)
