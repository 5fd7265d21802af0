"""Credentials and rights that a real broker refuses are an error of `produce`, not of a timeout later."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaError, KafkaException

from feedline.catalog import Topic
from feedline.errors import AuthenticationError
from feedline.kafka.admin import admin_client, ensure_topics, has_topic
from feedline.local import kafka as local_kafka
from feedline.local.ports import HOST, choose_ports
from feedline.local.process import stop_processes

POSITIONS = {"feed": "positions", "businessDate": "2026-11-20"}
WAIT = 30
PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """A broker with logins: `writer` may do everything, `guest` nothing. `base` gives a login's client settings."""
    home = tmp_path_factory.mktemp("secured")
    ports = choose_ports({"inner": 0, "controller": 0, "sasl": 0}, {"inner": 9292, "controller": 9293, "sasl": 9294})
    plainly = local_kafka.properties

    def with_logins(config):
        settings = plainly(config)
        for name in ("listeners", "advertised.listeners"):
            settings[name] += f",LOGIN://{HOST}:{ports['sasl']}"
        return settings | {
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.login.plain.sasl.jaas.config": f'{PLAIN} user_writer="w" user_guest="g";',
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:writer",
        }

    config = local_kafka.KafkaConfig(
        folder=home / "kafka",
        log=home / "kafka.log",
        port=ports["inner"],
        controller_port=ports["controller"],
        heap_mb=256,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local_kafka, "properties", with_logins)
        process = local_kafka.start_kafka(config, home)
    try:
        local_kafka.await_kafka(process, config)

        def base(user, password):
            return {
                "bootstrap.servers": f"{HOST}:{ports['sasl']}",
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": user,
                "sasl.password": password,
                "log_level": 0,
            }

        yield SimpleNamespace(base=base, inner={"bootstrap.servers": config.bootstrap})
    finally:
        stop_processes([process.pid], home, within_s=20)


@pytest.fixture
def refused(secured, feeds, lines):
    """Feeds whose topic is on the secured broker, and a way to publish one record there with a login."""
    topics = [replace(topic, name=feeds.topic) for topic in feeds.catalog.topics()]
    admin = admin_client(secured.inner)
    ensure_topics(admin, topics, 1)
    # A busy broker may not have heard yet of what it has just made.
    deadline = time.monotonic() + 30
    while not all(has_topic(admin, topic.name) for topic in topics) and time.monotonic() < deadline:
        time.sleep(0.1)

    def publish(user, password, **settings):
        producer = feeds.producer(**secured.base(user, password), **settings)
        producer.produce(feeds.topic, lines("positions")[0], headers=POSITIONS)
        return producer

    return publish


def test_wrong_credentials_are_raised_at_once(refused):
    with pytest.raises(AuthenticationError) as caught:
        refused("writer", "wrong")
    assert isinstance(caught.value, KafkaException)
    assert caught.value.args[0].code() == KafkaError._AUTHENTICATION


def test_missing_rights_are_raised_at_once(refused):
    with pytest.raises(AuthenticationError, match="TOPIC_AUTHORIZATION_FAILED"):
        refused("guest", "g")


def test_the_right_credentials_publish(refused, outcomes):
    heard = outcomes()
    assert refused("writer", "w", on_delivery=heard).flush(WAIT) == 0
    assert heard.errors == [None]


def test_an_admin_client_says_the_same(secured):
    topic = Topic(f"new-{uuid.uuid4().hex[:6]}", partitions=1)
    with pytest.raises(AuthenticationError):
        ensure_topics(admin_client(secured.base("guest", "g")), [topic], 1)
