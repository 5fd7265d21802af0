"""Secrets by reference, and secrets cut out of what people see."""

from __future__ import annotations

import logging
import pickle

import pytest
from confluent_kafka import KafkaError

from feedline.errors import ConfigurationError
from feedline.kafka.config import consumer_config, producer_config
from feedline.kafka.renewal import GRACE_S, PasswordRenewal
from feedline.security.redaction import RedactingFormatter, redact, redacted
from feedline.security.references import Secret, resolve
from feedline.settings import Settings

SECRET = "hunter2-Planted_5ecret"


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    return file


def test_a_client_gets_the_secret_and_nobody_sees_it(file, tmp_path):
    kafka = {"sasl.password": {"file": str(file)}, "bootstrap.servers": "b"}
    for config in (producer_config(kafka), consumer_config(kafka, group_id="g")):
        assert config["sasl.password"] == SECRET
        assert SECRET not in repr(config) + repr(dict(config))
    assert SECRET not in repr(Settings(kafka=kafka, registry={}, warehouse={"password": SECRET}, landing=tmp_path))


def test_a_secret_comes_from_a_variable_too(monkeypatch):
    monkeypatch.setenv("A_PASSWORD", SECRET)
    assert resolve({"a": [{"env": "A_PASSWORD"}], "b": 1}) == {"a": [SECRET], "b": 1}


def test_a_secret_goes_to_another_process_as_a_reference(file):
    secret = resolve({"file": str(file)})
    assert SECRET.encode() not in pickle.dumps(secret)
    assert pickle.loads(pickle.dumps(secret)) == secret


@pytest.mark.parametrize("reference", [{"file": "/no/such/file"}, {"env": "NO_SUCH_VARIABLE_HERE"}, {"file": ""}])
def test_a_secret_that_is_not_there_is_said_by_its_place(reference):
    with pytest.raises(ConfigurationError) as told:
        resolve(reference)
    assert next(iter(reference.values())) in str(told.value)


def test_a_service_takes_its_own_principal(tmp_path):
    principals = {"loader": {"sasl.username": "feedline-loader"}}
    settings = Settings(
        kafka={"bootstrap.servers": "b", "sasl.username": "w"}, registry={}, warehouse={}, landing=tmp_path,
        principals=principals,
    )  # fmt: skip
    assert settings.acting_as("loader").kafka == {"bootstrap.servers": "b", "sasl.username": "feedline-loader"}
    assert settings.acting_as("producer").kafka == settings.kafka


class _Client:
    def __init__(self):
        self.credentials = []

    def set_sasl_credentials(self, user, password):
        self.credentials.append((user, password))


def test_a_refused_login_is_tried_with_the_password_as_it_is_now(file):
    told, now = [], [0.0]
    settings = {"sasl.username": "u", "sasl.password": resolve({"file": str(file)}), "error_cb": told.append}
    renewal = PasswordRenewal(settings, clock=lambda: now[0])
    client = renewal.client = _Client()
    refused = KafkaError(KafkaError._AUTHENTICATION)
    # The cluster has the new password, the file has not yet.
    renewal.on_error(refused)
    assert (client.credentials, told) == ([], [])
    file.write_text("new")
    renewal.on_error(refused)
    assert client.credentials == [("u", "new")]
    # One that stays wrong is told, after the grace.
    renewal.on_error(refused)
    now[0] += GRACE_S + 1
    renewal.on_error(refused)
    assert told == [refused]
    # Other errors are told at once.
    away = KafkaError(KafkaError._TRANSPORT)
    renewal.on_error(away)
    assert told == [refused, away]


LEAKS = [
    f"sasl.password={SECRET}",
    f"{{'sasl.password': '{SECRET}', 'x': 1}}",
    f'{{"client_secret": "{SECRET}"}}',
    f"https://user:{SECRET}@registry:8081/subjects",
    f"Authorization: Basic {SECRET}",
    f"authorization: bearer {SECRET}",
    f"basic.auth.user.info: me:{SECRET}",
    f"-----BEGIN PRIVATE KEY-----\n{SECRET}\n-----END PRIVATE KEY-----",
    f"jaas.config='ScramLoginModule required password=\"{SECRET}\"'",
    f"the key fl_0123456789ab_{SECRET}_and_more was used",
    f"token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{SECRET}",
    f"api_key={SECRET}, next",
]


@pytest.mark.parametrize("text", LEAKS)
def test_a_secret_is_cut_out_of_text(text):
    assert SECRET not in redact(text)


def test_what_is_no_secret_stays():
    text = "topic BNY.IN has 80 partitions; file=/a/b, offset=12: check the credentials and the token's issuer"
    assert redact(text) == text


def test_a_document_loses_the_values_of_secret_names_only():
    found = redacted({"kafka": {"sasl.password": SECRET, "bootstrap.servers": "b"}, "list": [f"token={SECRET}", 1]})
    assert found == {"kafka": {"sasl.password": "***", "bootstrap.servers": "b"}, "list": ["token=***", 1]}


def test_a_log_with_a_trace_loses_its_secrets():
    try:
        raise ValueError(f"password={SECRET}")  # noqa: TRY301
    except ValueError as error:
        record = logging.LogRecord("n", 40, "f", 1, "it was %s", (f"token={SECRET}",), (ValueError, error, None))
    assert SECRET not in RedactingFormatter().format(record)


def test_the_repr_of_a_secret_shows_nothing(file):
    assert SECRET not in repr({"a": Secret(SECRET)}) + f"{Secret(SECRET)!r}"
