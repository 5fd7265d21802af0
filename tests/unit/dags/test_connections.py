"""Airflow connections as the clients get them."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def connection(monkeypatch):
    def define(name, **fields):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(fields))

    return define


def test_the_kafka_connection_s_extras_are_the_client_s_properties(connection):
    from feedline_airflow.kafka_hook import FeedlineKafkaHook

    extra = {"bootstrap.servers": "broker:9093", "security.protocol": "SASL_SSL", "sasl.password": "hidden-word"}
    connection("feedline_kafka", conn_type="kafka", extra=extra)
    assert FeedlineKafkaHook().get_conn == extra


def test_the_stand_in_s_connection_keeps_protocol_and_time_limits(connection):
    from feedline_airflow.warehouse_hook import WarehouseHook

    extra = {"account": "fakesnow", "host": "127.0.0.1", "port": 5000, "protocol": "http", "network_timeout": 20}
    connection("feedline_snowflake", conn_type="snowflake", login="me", password="stand-in", extra=extra)
    options = WarehouseHook()._get_conn_params()
    assert {name: options[name] for name in extra} == extra


def test_an_account_with_a_key_pair_needs_only_its_connection_and_gets_time_limits(connection, tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    from feedline_airflow.warehouse_hook import WarehouseHook

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pkcs8 = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (tmp_path / "key.p8").write_bytes(key.private_bytes(serialization.Encoding.PEM, *pkcs8))
    extra = {"account": "org-account", "database": "FEEDLINE", "warehouse": "LOAD", "role": "LOADER"}
    connection(
        "feedline_snowflake",
        conn_type="snowflake",
        login="SVC_FEEDLINE",
        schema="IHUB",
        extra=extra | {"private_key_file": str(tmp_path / "key.p8")},
    )
    options = WarehouseHook()._get_conn_params()
    assert options["private_key"] == key.private_bytes(serialization.Encoding.DER, *pkcs8)
    assert {name: options[name] for name in extra} == extra
    assert options["network_timeout"] > 0
    assert {"protocol", "host", "port", "password"}.isdisjoint(options)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"host": "http://127.0.0.1:8081/apis/ccompat/v7"}, {"url": "http://127.0.0.1:8081/apis/ccompat/v7"}),
        (
            {"schema": "https", "host": "registry", "port": 8443, "extra": {"path": "/apis/ccompat/v7"}},
            {"url": "https://registry:8443/apis/ccompat/v7"},
        ),
        (
            {"host": "https://registry", "login": "me", "password": "word", "extra": {"ssl.ca.location": "ca.pem"}},
            {"url": "https://registry", "basic.auth.user.info": "me:word", "ssl.ca.location": "ca.pem"},
        ),
    ],
)
def test_the_registry_s_connection_is_an_address_with_what_the_client_needs(connection, fields, expected):
    from feedline_airflow.registry_connection import registry_config

    connection("feedline_registry", conn_type="http", **fields)
    assert registry_config() == expected
