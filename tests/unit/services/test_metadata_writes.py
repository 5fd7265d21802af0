"""What the metadata service writes is of feeds that there are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from feedline.catalog import default_catalog_path, load_catalog
from feedline.metadata.ldm_files import document_of, feed_model
from feedline.services.auth import AccessConfig, Authenticator
from feedline.services.metadata_api import create_app
from feedline.settings import Settings


@pytest.fixture
def catalog_file(tmp_path):
    shipped = default_catalog_path()
    folder = shutil.copytree(shipped.parent, tmp_path / "catalogue", ignore=shutil.ignore_patterns("samples"))
    return Path(folder) / shipped.name


def test_no_model_is_written_for_a_feed_that_is_not_there(catalog_file, keys, keys_file, tmp_path):
    settings = Settings(
        kafka={"bootstrap.servers": "127.0.0.1:1"},
        registry={"url": "http://127.0.0.1:1"},
        warehouse={},
        landing=tmp_path,
        catalog=catalog_file,
    )
    app = create_app(settings, Authenticator(AccessConfig(keys_file)))
    model = document_of(feed_model(load_catalog(catalog_file).feed("snapshots"), catalog_file))
    before = {path: path.read_bytes() for path in catalog_file.parent.rglob("*") if path.is_file()}
    with TestClient(app, headers={"X-API-Key": keys["engineer"]}) as service:
        answer = service.put("/feeds/nowhere/ldm", json={"model": {**model, "feed": "nowhere"}})
    assert answer.status_code == 404
    assert {path: path.read_bytes() for path in catalog_file.parent.rglob("*") if path.is_file()} == before
