"""Who gets into the pages below Airflow: users of Airflow's own auth manager, and no other site in their name."""

from __future__ import annotations

import json

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from feedline.settings import Settings

FROM_PAGE = {"X-Feedline": "page", "Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def manager(_airflow_home):
    """Airflow's own auth manager, with the one table of the metadata database that it asks."""
    from airflow import settings
    from airflow.api_fastapi.app import create_auth_manager
    from airflow.models.revoked_token import RevokedToken

    settings.prepare_engine_args()
    settings.configure_orm()
    RevokedToken.__table__.create(settings.engine, checkfirst=True)
    return create_auth_manager()


@pytest.fixture
def token(manager):
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    return lambda role: manager.generate_jwt(SimpleAuthManagerUser(username="ada", role=role))


@pytest.fixture
def client(tmp_path, manager):
    """The service mounted as Airflow mounts it, on a catalogue of one feed; no other service is there."""
    from feedline.services.metadata_api import create_app
    from feedline_airflow.airflow_callers import AirflowCallers

    (tmp_path / "thing.avsc").write_text(
        json.dumps(
            {"type": "record", "name": "Thing", "businessKeys": ["id"], "fields": [{"name": "id", "type": "string"}]}
        )
    )
    (tmp_path / "feeds.yaml").write_text(
        "topics: {t: {}}\n"
        "feeds: {things: {title: Things, topic: t, schema: thing.avsc, volume: {rows: 1, kilobytes: 1}}}\n"
    )
    nowhere = Settings(
        {"bootstrap.servers": "127.0.0.1:1"}, {"url": "http://127.0.0.1:1"}, {}, tmp_path, tmp_path / "feeds.yaml"
    )
    airflow = FastAPI()
    airflow.mount("/feedline", create_app(nowhere, AirflowCallers()))
    return TestClient(airflow)


def test_the_pages_are_open_and_what_they_show_is_not(client):
    assert client.get("/feedline/ui/").status_code == 200
    assert client.get("/feedline/ui/").headers["x-frame-options"] == "SAMEORIGIN"
    refused = client.get("/feedline/feeds/search?q=things")
    assert refused.status_code == 401
    assert refused.json()["signIn"] == "../api/v2/auth/login"
    for wrong in ("nonsense", "fl_000000000000_" + "x" * 43):
        client.cookies.set("_token", wrong)
        assert client.get("/feedline/feeds/search?q=things").status_code == 401


@pytest.mark.parametrize(
    ("role", "is_called"),
    [("viewer", "viewer"), ("user", "engineer"), ("op", "operator"), ("admin", "operator")],
)
def test_what_airflow_lets_a_user_do_is_the_user_s_role(client, token, role, is_called):
    client.cookies.set("_token", token(role))
    assert client.get("/feedline/feeds/search?q=things").json()[0]["feed"] == "things"
    answer = client.put("/feedline/config/some", json={"compatibility": "NONSENSE"}, headers=FROM_PAGE)
    # Engineers and operators come as far as being told what is wrong with the level.
    assert answer.status_code == (403 if is_called == "viewer" else 422), answer.text
    if is_called == "viewer":
        assert "airflow:ada is viewer here" in answer.json()["detail"]


def test_a_token_that_was_revoked_by_signing_out_is_refused(client, token, manager):
    revoked = token("admin")
    client.cookies.set("_token", revoked)
    assert client.get("/feedline/feeds/search?q=things").status_code == 200
    manager.revoke_token(revoked)
    assert client.get("/feedline/feeds/search?q=things").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"X-Feedline": "page", "Sec-Fetch-Site": "cross-site"},
        {"X-Feedline": "page", "Sec-Fetch-Site": "same-site"},
    ],
)
def test_another_site_cannot_change_anything_in_a_signed_in_user_s_name(client, token, headers):
    client.cookies.set("_token", token("admin"))
    answer = client.put("/feedline/config/some", json={"compatibility": "NONSENSE"}, headers=headers)
    assert answer.status_code == 403
    assert "Feedline's own pages" in answer.json()["detail"]
