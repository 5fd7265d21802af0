"""The provisioning service on a real broker: a plan that was shown is applied as a job, once, by those who may; a job
whose service was killed is gone on with; the trail says who did it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from feedline.catalog import default_catalog_path
from feedline.kafka.admin import admin_client
from feedline.provisioning.books import Books
from feedline.services.api_keys import add_key
from feedline.services.auth import AccessConfig, Authenticator
from feedline.services.limits import Limits
from feedline.services.provisioning_api import create_app
from feedline.services.roles import Role

WITHIN_S = 240
PLENTY = Limits(per_second=1e6, burst=10**6)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    file = tmp_path_factory.mktemp("keys") / "keys.json"
    return file, {role: add_key(file, f"a-{role}", role)[1] for role in Role}


class Service:
    """Its callers, by role, and its books."""

    def __init__(self, settings, keys, folder, topics):
        self.file = folder / "provisioning.yaml"
        self.declare(topics)
        self.books = Books(folder)
        self._settings, (self._keys_file, self._keys) = settings, keys
        self.restart()

    def declare(self, topics):
        self.file.write_text(json.dumps({"topics": topics}))

    def restart(self):
        app = create_app(
            self._settings, Authenticator(AccessConfig(self._keys_file)), PLENTY, books=self.books, file=self.file
        )
        self._client = TestClient(app, raise_server_exceptions=False)

    def ask(self, role, method, path, body=None):
        return self._client.request(method, path, json=body, headers={"X-API-Key": self._keys[role]})

    def plan(self):
        answer = self.ask(Role.ENGINEER, "POST", "/plans", {"parts": ["topics"]})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def ended(self, job):
        deadline = time.monotonic() + WITHIN_S
        while (found := self.ask(Role.VIEWER, "GET", f"/jobs/{job['id']}").json())["state"] == "running":
            assert time.monotonic() < deadline, "the job does not end"
            time.sleep(0.1)
        return found


@pytest.fixture
def topics():
    name = f"served-{uuid.uuid4().hex[:8]}"
    return {f"{name}-{number}": {"partitions": 2} for number in range(3)}


@pytest.fixture
def service(stack, keys, tmp_path, topics):
    return Service(stack.settings, keys, tmp_path, topics)


def test_a_plan_is_applied_as_it_was_shown_by_an_operator_and_only_once(service, topics):
    made = service.plan()
    assert set(topics) <= {one["target"] for one in made["changes"]}
    path = f"/plans/{made['fingerprint']}"
    assert service.ask(Role.VIEWER, "GET", path).json() == made
    for role in (Role.VIEWER, Role.ENGINEER):
        assert service.ask(role, "POST", f"{path}/apply", {}).status_code == 403
    assert service.ask(Role.VIEWER, "POST", "/plans", {}).status_code == 403
    begun = service.ask(Role.OPERATOR, "POST", f"{path}/apply", {})
    assert begun.status_code == 202, begun.text
    ended = service.ended(begun.json())
    assert (ended["state"], ended["done"], ended["error"]) == ("succeeded", len(made["changes"]), "")
    assert service.plan()["changes"] == []
    assert service.ask(Role.VIEWER, "GET", "/drift?part=topics").json()["drift"] == []
    # What was shown is no longer what there is: the same plan again changes nothing, and says so.
    again = service.ended(service.ask(Role.OPERATOR, "POST", f"{path}/apply", {}).json())
    assert again["state"] == "failed"
    assert "plan again" in again["error"]
    service.restart()
    trail = service.ask(Role.VIEWER, "GET", "/audit").json()
    assert [(one["who"], one["what"]) for one in trail] == [
        ("key:a-operator", "failed"), ("key:a-operator", "began"), ("key:a-engineer", "planned"),
        ("key:a-operator", "applied"), ("key:a-operator", "began"), ("key:a-engineer", "planned"),
    ]  # fmt: skip
    assert service.ask(Role.VIEWER, "GET", f"/jobs/{ended['id']}").json() == ended
    assert [job["id"] for job in service.ask(Role.VIEWER, "GET", "/jobs").json()] == [again["id"], ended["id"]]
    events = service.ask(Role.VIEWER, "GET", f"/jobs/{ended['id']}/events")
    assert events.headers["content-type"].startswith("text/event-stream")
    assert events.text.startswith("event: succeeded\ndata: {")


def test_what_needs_a_word_is_not_done_without_it(service, topics):
    service.ended(_apply(service))
    service.declare({name: {"partitions": 2, "retention_days": 1} for name in topics})
    refused = service.ended(_apply(service))
    assert refused["state"] == "failed"
    assert "shorten-retention" in refused["error"]
    left_out = service.ended(_apply(service, skip_held=True))
    assert (left_out["state"], left_out["done"]) == ("succeeded", 0)
    allowed = service.ended(_apply(service, allow=["shorten-retention"]))
    assert (allowed["state"], allowed["done"]) == ("succeeded", len(topics))


def test_one_apply_at_a_time(service):
    first = _apply(service)
    second = service.ask(Role.OPERATOR, "POST", f"/plans/{first['plan']}/apply", {})
    assert second.status_code == 409
    assert first["id"] in second.json()["detail"]
    assert service.ended(first)["state"] == "succeeded"


@pytest.mark.parametrize("path", ["/plans/0123456789abcdef/apply", f"/jobs/{'0' * 32}/resume"])
def test_what_is_not_there_is_said(service, path):
    assert service.ask(Role.OPERATOR, "POST", path, {}).status_code == 404


def _apply(service, **body):
    made = service.plan()
    answer = service.ask(Role.OPERATOR, "POST", f"/plans/{made['fingerprint']}/apply", body)
    assert answer.status_code == 202, answer.text
    return answer.json()


def test_a_job_whose_service_was_killed_is_gone_on_with(stack, keys, tmp_path):
    name = f"killed-{uuid.uuid4().hex[:8]}"
    topics = {f"{name}-{number}": {} for number in range(100)}
    catalog = Path(shutil.copytree(default_catalog_path().parent, tmp_path / "include")) / "feeds.yaml"
    catalog.with_name("provisioning.yaml").write_text(json.dumps({"topics": topics}))
    environment = {**os.environ, "FEEDLINE_CATALOG": str(catalog), "FEEDLINE_PROVISION_BOOKS": str(tmp_path)}
    command = [
        str(Path(sys.executable).with_name("feedline")), "serve", "provisioning", "--port", "0",
        "--settings", str(stack.home / "settings.json"), "--keys", str(keys[0]),
    ]  # fmt: skip
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
        try:
            url = running.stderr.readline().split()[-1]
            with httpx.Client(base_url=url, headers={"X-API-Key": keys[1][Role.OPERATOR]}, timeout=WITHIN_S) as client:
                made = client.post("plans", json={"parts": ["topics"]}).json()
                job = client.post(f"plans/{made['fingerprint']}/apply", json={}).json()
                with client.stream("GET", f"jobs/{job['id']}/events") as stream:
                    for line in stream.iter_lines():
                        if line.startswith("data: ") and json.loads(line[6:])["done"]:
                            break
        finally:
            running.send_signal(signal.SIGKILL)
    settings = replace(stack.settings, catalog=catalog)
    service = Service(settings, keys, tmp_path, topics)
    left = service.ask(Role.VIEWER, "GET", f"/jobs/{job['id']}").json()
    assert left["state"] == "interrupted"
    assert 0 < left["done"] < left["total"]
    resumed = service.ask(Role.OPERATOR, "POST", f"/jobs/{job['id']}/resume")
    assert resumed.status_code == 202, resumed.text
    assert service.ended(left)["state"] == "succeeded"
    assert service.plan()["changes"] == []
    assert set(topics) <= set(admin_client(settings.kafka).list_topics(timeout=60).topics)
    assert service.ask(Role.OPERATOR, "POST", f"/jobs/{job['id']}/resume").status_code == 422
