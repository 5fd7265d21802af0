"""A local stack that is killed, half made, or clumsily used comes back with all it was given."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest
import snowflake.connector
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from confluent_kafka.schema_registry import Schema

from feedline.errors import ConfigurationError
from feedline.kafka.registry import registry_client
from feedline.local.process import marked_processes
from feedline.local.stack import StackConfig, down, status, up

TOPIC = "survives"
MESSAGES = [f"message {number}".encode() for number in range(500)]
SCHEMA = '{"type":"record","name":"Word","fields":[{"name":"text","type":"string"}]}'


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder that a run killed long ago has left: a half formatted broker, and a state whose process ids now belong
    to somebody else."""
    folder = tmp_path_factory.mktemp("survivor").resolve()
    (folder / "kafka" / "data").mkdir(parents=True)
    (folder / "kafka" / "data" / "meta.properties").write_text("cluster.id=half")
    (folder / "state.json").write_text(
        f'{{"processes": {{"kafka": {{"name": "kafka", "pid": {os.getpid()}, "port": 1, "log": "x"}}}}, "ports": {{}}}}'
    )
    try:
        yield folder
    finally:
        down(folder)


@pytest.fixture(scope="module")
def settings(home):
    return up(StackConfig(home=home, airflow=False))


@pytest.fixture(scope="module")
def killed(home, settings):
    """The stack after it was given messages, a schema and a row, killed, and started again."""
    admin = AdminClient(dict(settings.kafka))
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(30)
    producer = Producer({**settings.kafka, "acks": "all"})
    for message in MESSAGES:
        producer.produce(TOPIC, message)
    assert producer.flush(30) == 0
    registry_client(settings.registry).register_schema("survives-value", Schema(SCHEMA, "AVRO"))
    with snowflake.connector.connect(**settings.warehouse) as session, session.cursor() as cursor:
        cursor.execute("create schema if not exists ihub")
        cursor.execute("create table ihub.survives (amount number(18, 2))")
        cursor.execute("insert into ihub.survives values (0.10)")
        cursor.execute("begin")
        cursor.execute("insert into ihub.survives values (99.99)")
        pids = marked_processes(home)
        assert len(pids) == 3
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        psutil.wait_procs(map(psutil.Process, filter(psutil.pid_exists, pids)), timeout=20)
    assert not any(service.running for service in status(home))
    return up(StackConfig(home=home, airflow=False))


def test_a_process_that_took_over_a_recorded_id_is_left_alone(settings):
    assert psutil.Process().is_running()


def test_acknowledged_messages_survive_a_kill(killed):
    consumer = Consumer({**killed.kafka, "group.id": "survives"})
    consumer.assign([TopicPartition(TOPIC, 0, 0)])
    read = []
    while len(read) < len(MESSAGES):
        message = consumer.poll(30)
        assert message is not None
        assert message.error() is None
        read.append(message.value())
    consumer.close()
    assert read == MESSAGES


def test_schemas_survive_a_kill(killed):
    registry = registry_client(killed.registry)
    assert registry.get_latest_version("survives-value").schema.schema_type == "AVRO"


def test_committed_rows_survive_a_kill_and_others_do_not(killed):
    with snowflake.connector.connect(**killed.warehouse) as session, session.cursor() as cursor:
        assert [str(amount) for (amount,) in cursor.execute("select amount from ihub.survives")] == ["0.10"]


def test_addresses_stay_the_same_over_a_kill(settings, killed):
    assert (killed.kafka, killed.registry) == (settings.kafka, settings.registry)


def test_starting_a_stack_that_is_up_changes_nothing(home, killed):
    before = [service.pid for service in status(home)]
    up(StackConfig(home=home, airflow=False))
    assert [service.pid for service in status(home)] == before


def test_a_port_in_use_is_told_before_anything_starts(home, killed, tmp_path):
    [port] = [service.port for service in status(home) if service.name == "kafka"]
    with pytest.raises(ConfigurationError, match=f"port {port} for registry is in use"):
        up(StackConfig(home=tmp_path, airflow=False, ports={"registry": port}))
    assert marked_processes(tmp_path.resolve()) == []


def test_a_client_that_is_killed_leaves_no_lock_behind(killed):
    code = (
        "import sys, json, time, snowflake.connector as c; s = c.connect(**json.loads(sys.argv[1])); u = s.cursor(); "
        "u.execute('begin'); u.execute('update ihub.survives set amount=5'); print('held', flush=True); time.sleep(99)"
    )
    with snowflake.connector.connect(**killed.warehouse) as session, session.cursor() as cursor:
        holder = subprocess.Popen(
            [sys.executable, "-c", code, json.dumps(dict(killed.warehouse))], stdout=subprocess.PIPE
        )
        with holder:
            assert holder.stdout.readline() == b"held\n"
            with pytest.raises(snowflake.connector.errors.ProgrammingError) as conflict:
                cursor.execute("update ihub.survives set amount = 6")
            assert conflict.value.errno == 625
            holder.kill()
        updated = None
        while updated is None:
            try:
                updated = cursor.execute("update ihub.survives set amount = 7").fetchall()
            except snowflake.connector.errors.ProgrammingError:
                continue
        assert cursor.execute("select amount::varchar from ihub.survives").fetchall() == [("7.00",)]


def test_stopping_ends_every_process(home, killed):
    assert set(down(home)) == {"kafka", "registry", "warehouse"}
    assert marked_processes(home) == []
    assert down(home) == []
