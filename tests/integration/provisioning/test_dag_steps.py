"""The steps of `ihub_provision` and `ihub_drift` on a real broker, registry and the warehouse stand-in, without
Airflow: only what Airflow gives a task is put in place of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from feedline.catalog import default_catalog_path, load_catalog
from feedline.kafka.admin import admin_client
from feedline.provisioning import audit
from feedline.provisioning.books import Books

ROOT = Path(__file__).parents[3]


@pytest.fixture
def steps(warehouse_settings, tmp_path, monkeypatch):
    """The steps, on a catalogue of two feeds and topics of this test's own."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "airflow"))
    monkeypatch.syspath_prepend(str(ROOT / "plugins"))
    import feedline_airflow.alert_channels
    import feedline_airflow.provision_steps as steps
    import feedline_airflow.task_settings

    document = yaml.safe_load(default_catalog_path().read_text())
    feeds = {name: document["feeds"][name] for name in ("accounts", "snapshots")}
    for feed in feeds.values():
        feed["topic"] += ".STEPS"
    topics = {f"{name}.STEPS": {**topic, "partitions": 2} for name, topic in document["topics"].items()}
    few = {**document, "feeds": feeds, "topics": topics}
    folder = tmp_path / "include"
    folder.mkdir()
    for name in ("schemas", "ldm"):
        (folder / name).symlink_to(default_catalog_path().parent / name)
    (folder / "feeds.yaml").write_text(yaml.safe_dump(few))
    (folder / "provisioning.yaml").write_text("{}")
    monkeypatch.setenv("FEEDLINE_CATALOG", str(folder / "feeds.yaml"))
    monkeypatch.setenv("FEEDLINE_PROVISION_BOOKS", str(tmp_path))
    settings = replace(warehouse_settings, catalog=folder / "feeds.yaml")
    context = {"dag_run": SimpleNamespace(dag_id="ihub_test", run_id="manual__1"), "params": {"allow": []}}
    monkeypatch.setattr(feedline_airflow.task_settings, "task_settings", lambda: settings)
    monkeypatch.setattr(steps, "get_current_context", lambda: context)
    told = []
    monkeypatch.setattr(feedline_airflow.alert_channels, "alert_channels", lambda: {"told": told.append})
    return SimpleNamespace(module=steps, settings=settings, context=context, told=told, books=Books(tmp_path))


def test_a_second_run_changes_nothing_and_what_somebody_altered_is_told_once_and_put_right(steps):
    run = steps.module
    everything = (run.create_topics, run.register_schemas, run.create_tables)
    first = [step() for step in everything]
    assert all(one["made"] for one in first)
    assert [step()["made"] for step in everything] == [[], [], []]
    assert run.watch_drift()["drift"] == []
    topic = load_catalog(steps.settings.catalog).topics()[0].name
    entry = ConfigEntry("retention.ms", "864000000", incremental_operation=AlterConfigOpType.SET)
    admin = admin_client(steps.settings.kafka)
    altered = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])]
    for future in admin.incremental_alter_configs(altered).values():
        future.result(60)
    lines = [f"topics {topic}: retention.ms is 864000000, declared 432000000"]
    assert [run.watch_drift()["drift"], run.watch_drift()["drift"]] == [lines, lines]
    assert [alert.lines for alert in steps.told] == [tuple(lines)]
    # It would delete records: only with the word of the form.
    assert run.create_topics()["left_out"] == [f"set {topic}"]
    assert run.watch_drift()["drift"] == lines
    steps.context["params"]["allow"] = ["shorten-retention"]
    assert run.create_topics()["made"] == [f"set {topic}"]
    assert run.watch_drift()["drift"] == []
    assert steps.told[-1].subject.startswith("recovered")
    trail = [(one["who"], one["what"]) for one in audit.entries(steps.books.audit)]
    assert trail == [("ihub_test", what) for what in ["applied"] * 3 + ["drift", "applied", "no more drift"]]
