from __future__ import annotations

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from feedline.errors import ConfigurationError
from feedline.kafka.config import admin_config, consumer_config, producer_config

BASE = {"bootstrap.servers": "127.0.0.1:1", "log_level": 0}


@pytest.mark.parametrize(
    "weak",
    [
        {"acks": 1},
        {"acks": "0"},
        {"request.required.acks": 1},
        {"default.topic.config": {"acks": 1}},
        {"enable.idempotence": False},
        {"enable.idempotence": "false"},
        {"retries": 0},
        {"message.send.max.retries": 0},
        {"max.in.flight": 6},
        {"queuing.strategy": "lifo"},
    ],
)
def test_settings_that_could_lose_an_acknowledged_record_are_refused(weak):
    with pytest.raises(ConfigurationError, match="would let an acknowledged record be lost"):
        producer_config({**BASE, **weak})


@pytest.mark.parametrize("same", [{"acks": "all"}, {"acks": -1}, {"acks": "-1"}, {"enable.idempotence": "true"}])
def test_settings_that_say_the_same_in_other_words_are_accepted(same):
    config = producer_config({**BASE, **same})
    assert config["acks"] == "all"
    assert config["enable.idempotence"] is True


def test_one_base_serves_every_kind_of_client():
    base = {**BASE, "acks": "all", "group.id": "g", "auto.offset.reset": "earliest", "linger.ms": 1}
    Producer(producer_config(base))
    Consumer(consumer_config(base, group_id="mine")).close()
    AdminClient(admin_config(base))
    assert consumer_config(base, group_id="mine")["group.id"] == "mine"
    assert admin_config(base).keys() == BASE.keys()


def test_a_consumer_never_commits_by_itself_whatever_the_base_says():
    config = consumer_config({**BASE, "enable.auto.commit": True, "isolation.level": "read_uncommitted"}, group_id="g")
    assert config["enable.auto.commit"] is False
    assert config["enable.auto.offset.store"] is False
    assert config["isolation.level"] == "read_committed"


def test_no_secret_is_shown_by_a_configuration():
    secrets = {
        "sasl.password": "s3cret-1",
        "ssl.key.pem": "s3cret-2",
        "ssl.key.password": "s3cret-3",
        "sasl.oauthbearer.client.secret": "s3cret-4",
        "sasl.jaas.config": "s3cret-5",
        "basic.auth.user.info": "s3cret-6",
        "sasl.oauthbearer.config": "s3cret-7",
        "ssl.keystore.password": "s3cret-8",
    }
    for made in (producer_config(secrets), consumer_config(secrets, group_id="g"), admin_config(secrets)):
        assert "s3cret" not in repr(made)
        assert "s3cret" not in str(made)
        assert made["sasl.password"] == "s3cret-1"
