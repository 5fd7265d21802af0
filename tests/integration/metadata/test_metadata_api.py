"""The metadata service over HTTP, on a real registry, broker and warehouse."""

from __future__ import annotations

import json

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from feedline.catalog import load_catalog

OWN = {"type": "record", "name": "Own", "fields": [{"name": "x", "type": "int"}]}


def errors_of(answer, status, code):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error_code"] == code
    return answer.json()["detail"]


def registered(client, feed):
    """The catalogue's schema as the first version, if it is not registered yet."""
    found = client.get(f"/feeds/{feed}").json()
    if not found["version"]:
        made = client.post(f"/feeds/{feed}/versions", json={"record": found["schema"], "what": "first"})
        assert made.status_code == 200, made.text
        found = client.get(f"/feeds/{feed}").json()
    return found


def test_feeds_are_listed_found_and_drawn(service):
    client = service.client("viewer")
    feeds = {one["name"]: one for one in client.get("/feeds").json()}
    assert len(feeds) == 10
    assert feeds["positions"]["owner"] == "Custody operations"
    hits = client.get("/feeds/search", params={"q": "book cost"}).json()
    assert hits[0]["path"].endswith("book_cost")
    assert client.get("/feeds/search", params={"q": "nosuchthing"}).json() == []
    drawing = client.get("/feeds/positions/diagram").text
    assert drawing.startswith("<svg")
    assert "Exposures" in drawing
    assert "<script" not in drawing
    assert client.get("/feeds/positions/diagram", params={"form": "mermaid"}).text.startswith("erDiagram")
    assert any("SET TAG" in one for one in client.get("/feeds/positions/ddl").json())
    way = client.get("/feeds/positions/lineage").json()
    assert {"field": "quantity", "column": "QUANTITY"}.items() <= way[11].items()


def test_a_change_is_looked_at_registered_and_rolled_back(service):
    client = service.client()
    feed = registered(client, "account_dimensions")
    edits = [{"path": "", "add": "desk", "type": "string", "doc": "Desk that runs the account."}]
    plan = client.post("/feeds/account_dimensions/proposals", json={"edits": edits}).json()
    assert plan["compatible"]
    assert [one["text"] for one in plan["changes"]] == ["added: string, optional"]
    assert any('ADD COLUMN "DESK" VARCHAR' in one for one in plan["ddl"])
    body = {"edits": edits, "base": feed["version"], "what": "desks"}
    made = client.post("/feeds/account_dimensions/versions", json=body)
    assert made.status_code == 200, made.text
    assert sorted(made.json()["files"]) == ["account_dimensions.avsc", "account_dimensions.yaml"]
    # What is registered is what the files say now.
    written = load_catalog(service.folder / "feeds.yaml").feed("account_dimensions")
    assert written.schema["fields"][-1]["name"] == "desk"
    history = client.get("/feeds/account_dimensions/versions").json()
    assert (history[0]["by"], history[0]["what"]) == ("key:engineer", "desks")
    assert history[0]["changes"] == ["desk added: string, optional"]
    errors_of(client.post("/feeds/account_dimensions/versions", json={**body, "edits": edits[:0]}), 409, 409)
    back = client.post("/feeds/account_dimensions/rollback", json={"to": feed["version"], "base": feed["version"] + 1})
    assert back.status_code == 200, back.text
    fields = [one["path"] for one in client.get("/feeds/account_dimensions").json()["fields"]]
    assert "desk" not in fields


def test_an_incompatible_change_is_refused_with_what_to_do_instead(service):
    client = service.client()
    feed = registered(client, "accounts")
    body = {"edits": [{"path": "account_id", "type": "long"}], "base": feed["version"]}
    plan = client.post("/feeds/accounts/proposals", json=body).json()
    assert not plan["compatible"]
    assert "add a new optional field" in errors_of(client.post("/feeds/accounts/versions", json=body), 409, 40901)
    assert client.get("/feeds/accounts").json()["version"] == feed["version"]
    assert "no such field" in errors_of(
        client.post("/feeds/accounts/proposals", json={"edits": [{"path": "nosuch", "doc": "x"}]}), 422, 422
    )


def test_words_are_peoples_and_stay_when_the_schema_changes(service):
    client = service.client()
    model = client.get("/feeds/snapshots/ldm").json()
    model["owner"] = "Night desk"
    model["entities"][0]["attributes"][0] |= {"name": "Number of the snapshot", "classification": "confidential"}
    assert client.put("/feeds/snapshots/ldm", json={"model": model}).status_code == 200
    found = client.get("/feeds/snapshots").json()
    assert (found["owner"], found["fields"][0]["business_name"]) == ("Night desk", "Number of the snapshot")
    edits = [{"path": "", "add": "desk", "type": "string"}]
    plan = client.post("/feeds/snapshots/proposals", json={"edits": edits}).json()
    assert "DESK" in "".join(plan["ddl"])
    model["entities"][0]["attributes"][0]["classification"] = "secret"
    errors_of(client.put("/feeds/snapshots/ldm", json={"model": model}), 422, 422)


def test_roles_are_kept(service):
    assert service.client("viewer").get("/feeds").status_code == 200
    for path in ("/feeds/accounts/versions", "/feeds/accounts/rollback", "/subjects/x/versions"):
        answer = service.client("viewer").post(path, json={"to": 1, "schema": "{}", "edits": []})
        errors_of(answer, 403, 403)
    with service.client() as client:
        client.headers["X-API-Key"] = "fl_000000000000_" + "x" * 43
        errors_of(client.get("/feeds"), 401, 401)


def test_confluents_own_client_works_on_it_and_metadata_comes_back(service):
    key = service.keys["engineer"]
    client = SchemaRegistryClient({"url": service.url, "basic.auth.user.info": f"any:{key}", "max.retries": 0})
    number = client.register_schema("own-value", Schema(json.dumps(OWN), "AVRO"))
    assert client.get_schema(number).schema_str
    assert client.get_latest_version("own-value").version == 1
    assert client.lookup_schema("own-value", Schema(json.dumps(OWN), "AVRO")).schema_id == number
    with pytest.raises(SchemaRegistryError) as refused:
        client.get_version("own-value", 9)
    assert (refused.value.http_status_code, refused.value.error_code) == (404, 40402)
    metadata = {"properties": {"owner": "treasury"}}
    rules = {"domainRules": [{"name": "r", "kind": "CONDITION", "type": "CEL", "mode": "WRITE", "expr": "x > 0"}]}
    body = {"schema": json.dumps(OWN), "metadata": metadata, "ruleSet": rules}
    assert service.client().post("/subjects/own-value/versions", json=body).status_code == 200
    for version in ("1", "latest", "-1"):
        found = service.client("viewer").get(f"/subjects/own-value/versions/{version}").json()
        assert (found["metadata"], found["ruleSet"], found["id"]) == (metadata, rules, number)


def test_errors_have_confluents_codes(service):
    client = service.client()
    body = {"schema": json.dumps(OWN)}
    assert client.post("/subjects/coded-value/versions", json=body).status_code == 200
    assert client.put("/config/coded-value", json={"compatibility": "BACKWARD"}).status_code == 200
    errors_of(client.get("/subjects/nosuch/versions"), 404, 40401)
    errors_of(client.get("/subjects/nosuch/versions/latest"), 404, 40401)
    errors_of(client.get("/subjects/coded-value/versions/7"), 404, 40402)
    errors_of(client.get("/subjects/coded-value/versions/zero"), 422, 42202)
    errors_of(client.get("/schemas/ids/987654321"), 404, 40403)
    errors_of(client.post("/subjects/coded-value/versions", json={"schema": '{"type": "nosuch"}'}), 422, 42201)
    errors_of(client.post("/subjects/coded-value/versions", json={"schema": "{"}), 422, 42201)
    wrong = {**OWN, "fields": [*OWN["fields"], {"name": "y", "type": "string"}]}
    errors_of(client.post("/subjects/coded-value/versions", json={"schema": json.dumps(wrong)}), 409, 40901)
    errors_of(client.put("/config/coded-value", json={"compatibility": "SIDEWAYS"}), 422, 42203)
    answer = client.post("/compatibility/subjects/coded-value/versions/-1", json={"schema": json.dumps(wrong)}).json()
    assert answer["is_compatible"] is False
    assert "make it optional" in answer["messages"][0]
