"""The discovery of the metadata service: a sample or a supplied schema in, everything that follows from it out."""

from __future__ import annotations

import gzip
import json

import pytest
from fastapi.testclient import TestClient

from feedline.services.auth import AccessConfig, Authenticator
from feedline.services.limits import Limits
from feedline.services.metadata_api import create_app
from feedline.settings import Settings

SAMPLE = (
    b'{"trade_id": "T1", "amount": 10.25, "on": "03/04/2026"}\n{"trade_id": "T2", "amount": 7, "on": "31/01/2026"}\n'
)


@pytest.fixture
def ask(keys_file, keys, tmp_path):
    nowhere = Settings({}, {"url": "http://127.0.0.1:1"}, {}, tmp_path)
    app = create_app(nowhere, Authenticator(AccessConfig(keys_file)), Limits(per_second=1e6, burst=10**6))
    client = TestClient(app, headers={"X-API-Key": keys["viewer"]}, raise_server_exceptions=False)
    return lambda body, **params: client.post("/discovery", content=body, params=params)


def types(answer):
    return {one["name"]: one["type"] for one in answer.json()["avro"]["fields"]}


@pytest.mark.parametrize(
    "body",
    [SAMPLE, gzip.compress(SAMPLE, mtime=0), b"[" + SAMPLE.replace(b"\n", b",", 1) + b"]"],
    ids=["lines", "gzip", "array"],
)
def test_a_sample_gives_schema_model_statements_and_decisions(ask, body):
    answer = ask(body, name="trades_20261120.jsonl")
    found = answer.json()
    assert answer.status_code == 200, found
    assert found["feed"] == "trades"
    assert (found["samples"], found["refusedCount"]) == (2, 0)
    assert types(answer)["amount"] == {"type": "bytes", "logicalType": "decimal", "precision": 23, "scale": 4}
    assert found["jsonSchema"]["properties"]["trade_id"] == {"type": "string"}
    assert found["ldm"]["entities"][0]["table"] == "TRADES"
    assert any("CREATE TABLE" in one for one in found["ddl"])
    assert found["catalog"]["schema"] == "schemas/trades.avsc"
    paths = [one["path"] for one in found["decisions"]]
    assert paths == ["", "trade_id", "amount", "on"]
    assert "day and month" in found["decisions"][3]["conflicts"][0]


def test_the_questions_of_a_reviewer_are_parameters(ask):
    answer = ask(SAMPLE, name="x.json", feed="trades", key="on", day_order="DMY", integer_headroom=0, scale_headroom=0)
    assert types(answer)["on"]["logicalType"] == "date"
    assert types(answer)["amount"]["precision"] == 21
    assert answer.json()["avro"]["businessKeys"] == ["on"]


def test_a_supplied_schema_gives_the_same_as_its_sample(ask):
    sample = ask(SAMPLE, feed="trades").json()
    for given, word in (("avro", "avro"), ("json-schema", "jsonSchema")):
        found = ask(json.dumps(sample[word]), feed="trades", given=given).json()
        assert {one: found[one] for one in ("avro", "jsonSchema", "ddl", "ldm")} == {
            one: sample[one] for one in ("avro", "jsonSchema", "ddl", "ldm")
        }


@pytest.mark.parametrize(
    ("body", "params"),
    [
        (b"", {}),
        (b"{", {}),
        (b"[" * 100_000, {}),
        (b"\xff\xfe\x00", {}),
        (b"[[1]]", {"given": "avro"}),
        (b"{" * 100_000, {"given": "json-schema"}),
        (b'{"a": 1}', {"given": "json-schema"}),
        (b'{"a": 1}', {"given": "avro"}),
        (b'{"$ref": "#"}', {"given": "json-schema"}),
        (SAMPLE, {"key": "nothing"}),
        (SAMPLE, {"feed": "No Feed"}),
        (SAMPLE, {"namespace": "a..b"}),
        (SAMPLE, {"integer_headroom": 10**9}),
    ],
)
def test_what_cannot_be_used_is_a_problem_that_says_why(ask, body, params):
    answer = ask(body, **params)
    assert answer.status_code == 422, answer.text[:300]
    assert answer.json()["message"]
