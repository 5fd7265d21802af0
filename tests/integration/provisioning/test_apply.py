"""On a real broker, registry and the warehouse stand-in: applied once, nothing is left; killed, it is gone on with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import uuid

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from confluent_kafka.schema_registry import Schema
from confluent_kafka.schema_registry.error import SchemaRegistryError

from feedline.batch.schemas import batch_schema, batch_subject
from feedline.catalog import Catalog
from feedline.cli import main
from feedline.errors import ConfigurationError, LostRaceError
from feedline.kafka.admin import admin_client, partition_count, watermarks
from feedline.kafka.registry import registry_client
from feedline.provisioning.actual import topic_configs
from feedline.provisioning.apply import apply
from feedline.provisioning.desired import read_desired
from feedline.provisioning.drift import drift
from feedline.provisioning.installation import Installation
from feedline.provisioning.plan import Allow
from feedline.provisioning.state import Desired, Part, TopicState

CONFIG = {"retention.ms": "432000000"}

# Runs an apply of the topics of a JSON file and is killed after so many steps.
KILLED = """
import json, os, signal, sys
from pathlib import Path
from feedline.provisioning.apply import apply
from feedline.provisioning.installation import Installation
from feedline.provisioning.state import Desired, Part, TopicState
from feedline.settings import load_settings

names, after, settings, journal = json.loads(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
wanted = Desired(topics={name: TopicState(name, 1, 1, {"retention.ms": "432000000"}) for name in names})
system = Installation(load_settings(settings), wanted, [Part.TOPICS])

def told(done, total, change):
    if done == after:
        os.kill(os.getpid(), signal.SIGKILL)

apply(system.plan(), system, journal, progress=told, step=1)
"""


@pytest.fixture
def name():
    return f"provisioned-{uuid.uuid4().hex[:8]}"


def _system(stack, *topics, **others):
    wanted = Desired(topics={one.name: one for one in topics}, **others)
    return Installation(stack.settings, wanted, [Part.TOPICS])


def _send(stack, topic, messages):
    producer = Producer(dict(stack.settings.kafka))
    for _ in range(messages):
        producer.produce(topic, b"x", partition=0)
    assert producer.flush(60) == 0


def _alter(stack, topic, **settings):
    entries = [ConfigEntry(k, v, incremental_operation=AlterConfigOpType.SET) for k, v in settings.items()]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    # A client that nobody holds is gone before it is answered.
    admin = admin_client(stack.settings.kafka)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(60)
    deadline = time.monotonic() + 60
    while not settings.items() <= topic_configs(admin, [topic])[topic].items():
        assert time.monotonic() < deadline, "the broker does not show the settings"
        time.sleep(0.1)


def test_the_whole_catalogue_is_applied_once_and_a_second_apply_changes_nothing(catalog, warehouse_settings, tmp_path):
    two = Catalog({one: catalog.feeds[one] for one in ("accounts", "positions")})
    system = Installation(warehouse_settings, read_desired(warehouse_settings, two))
    first = system.plan()
    assert {one.part for one in first.changes} == {Part.TOPICS, Part.SCHEMAS, Part.TABLES}
    apply(first, system, tmp_path / "journal")
    assert system.plan().changes == ()
    assert apply(system.plan(), system, tmp_path / "journal") == []


def test_the_registry_itself_refuses_an_incompatible_version_of_a_provisioned_subject(
    catalog, warehouse_settings, tmp_path
):
    feed = catalog.feed("accounts")
    wanted = read_desired(warehouse_settings, Catalog({feed.name: feed}))
    system = Installation(warehouse_settings, wanted, [Part.SCHEMAS])
    apply(system.plan(), system, tmp_path / "journal")
    subject, schema = batch_subject(feed), batch_schema(feed)
    record = schema["fields"][0]["type"]["items"]
    record["fields"] = [*record["fields"], {"name": "required", "type": "string"}]
    # Past every check of ours, as any program with access to the registry can.
    client = registry_client(warehouse_settings.registry)
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(subject, Schema(json.dumps(schema), "AVRO"))
    assert refused.value.http_status_code == 409
    record["fields"][-1]["default"] = ""
    client.register_schema(subject, Schema(json.dumps(schema), "AVRO"))
    assert registry_client(warehouse_settings.registry).get_versions(subject) == [1, 2]


def test_partitions_are_raised_in_place_and_the_messages_stay(stack, name, tmp_path):
    small = _system(stack, TopicState(name, 4, 1, CONFIG))
    apply(small.plan(), small, tmp_path / "journal")
    _send(stack, name, 20)
    large = _system(stack, TopicState(name, 6, 1, CONFIG))
    apply(large.plan(), large, tmp_path / "journal")
    assert partition_count(admin_client(stack.settings.kafka), name) == 6
    assert watermarks(stack.settings.kafka, name, [0])[0] == (0, 20)
    with pytest.raises(ConfigurationError, match="cannot take partitions"):
        apply(small.plan(), small, tmp_path / "journal", allow=list(Allow))
    assert partition_count(admin_client(stack.settings.kafka), name) == 6


def test_what_somebody_altered_by_hand_is_drift_and_is_put_back(stack, name, tmp_path):
    system = _system(stack, TopicState(name, 1, 1, CONFIG))
    apply(system.plan(), system, tmp_path / "journal")
    shown = system.plan()
    _alter(stack, name, **{"retention.ms": "3600000"})
    found = system.plan()
    assert drift(found) == [f"topics {name}: retention.ms is 3600000, declared 432000000"]
    with pytest.raises(LostRaceError, match="plan again"):
        apply(shown, system, tmp_path / "journal")
    apply(found, system, tmp_path / "journal")
    assert drift(system.plan()) == []


def test_a_topic_with_records_goes_with_the_word_only(stack, name, tmp_path):
    system = _system(stack, TopicState(name, 2, 1, CONFIG))
    apply(system.plan(), system, tmp_path / "journal")
    _send(stack, name, 3)
    gone = _system(stack, absent=frozenset({name}))
    assert gone.plan().changes[0].before["records"] == 3
    with pytest.raises(ConfigurationError, match="--allow delete-data"):
        apply(gone.plan(), gone, tmp_path / "journal")
    apply(gone.plan(), gone, tmp_path / "journal", allow=[Allow.DELETE_DATA])
    assert gone.plan().changes == ()
    with pytest.raises(ConfigurationError, match="no such topic"):
        partition_count(admin_client(stack.settings.kafka), name)


def test_a_killed_apply_is_gone_on_with(stack, name, tmp_path):
    names = [f"{name}-{number}" for number in range(6)]
    journal = tmp_path / "journal"
    arguments = [json.dumps(names), "3", str(stack.home / "settings.json"), str(journal)]
    ended = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False, timeout=300, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr[-2000:]
    system = _system(stack, *(TopicState(one, 1, 1, CONFIG) for one in names))
    left = system.plan()
    assert len(left.changes) == 3
    apply(left, system, journal)
    assert system.plan().changes == ()
    assert json.loads(journal.read_text().splitlines()[-1]) == {"end": True}


def test_the_command_plans_applies_and_tells_drift(stack, name, tmp_path):
    file = tmp_path / "provisioning.yaml"
    file.write_text(f"topics: {{{name}: {{partitions: 2}}}}\n")
    common = ["--settings", str(stack.home / "settings.json"), "--file", str(file), "--part", "topics"]
    books = ["--journal", str(tmp_path / "journal"), "--audit", str(tmp_path / "audit.jsonl")]

    def run(*arguments):
        return CliRunner().invoke(main, ["provision", *arguments])

    planned = run("plan", *common, "--format", "json")
    assert planned.exit_code == 4, planned.output
    document = json.loads(planned.stdout)
    # What the catalogue declares is there already when another test has made it.
    assert name in {one["target"] for one in document["changes"]}
    applied = run("apply", "--yes", "--fingerprint", document["fingerprint"], *books, *common)
    assert applied.exit_code == 0, applied.output
    assert run("plan", *common).exit_code == 0
    assert run("drift", *common).exit_code == 0
    _alter(stack, name, **{"retention.ms": "3600000"})
    found = run("drift", *common)
    assert (found.exit_code, f"topics {name}: retention.ms is 3600000" in found.output) == (4, True)
    assert json.loads((tmp_path / "audit.jsonl").read_text())["plan"] == document["fingerprint"]
