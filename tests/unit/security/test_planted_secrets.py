"""Secrets planted in settings, texts and errors: none comes out in a repr, a log, an error or a page's document."""

from __future__ import annotations

import json
import logging

import pytest

from feedline.errors import ConfigurationError
from feedline.kafka.config import producer_config
from feedline.security.redaction import RedactingFormatter, redact, redacted
from feedline.services.api_keys import add_key
from feedline.services.roles import Role
from feedline.settings import Settings, load_settings

PLANTED = {
    "password": "pl4nted-Pa55word-Kafka",
    "basic": "registryuser:pl4nted-Pa55word-Registry",
    "warehouse": "pl4nted-Pa55word-Warehouse",
    "passphrase": "pl4nted-Passphrase-Key",
}
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJwbDRudGVkIn0.pl4ntedSignature"
MARK = "pl4nted"


def _document(tmp_path):
    return {
        "kafka": {
            "bootstrap.servers": "localhost:1",
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "somebody",
            "sasl.password": PLANTED["password"],
            "ssl.key.password": PLANTED["passphrase"],
        },
        "registry": {"url": "http://localhost:1", "basic.auth.user.info": PLANTED["basic"]},
        "warehouse": {"account": "a", "user": "u", "password": PLANTED["warehouse"]},
        "principals": {"producer": {"sasl.password": PLANTED["password"]}},
        "access": {"token": TOKEN},
        "landing": str(tmp_path),
    }


def _loaded(tmp_path, **other) -> Settings:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(_document(tmp_path) | other))
    return load_settings(file)


def test_settings_do_not_show_what_they_hold(tmp_path):
    settings = _loaded(tmp_path)
    for one in (settings, settings.acting_as("producer")):
        assert MARK not in repr(one)
        assert MARK not in str(one)
        assert MARK not in f"{one!r:.5000}"


@pytest.mark.parametrize("wrong", [{"acks": "1"}, {"enable.idempotence": False}])
def test_an_error_about_settings_does_not_show_them(tmp_path, wrong):
    with pytest.raises(ConfigurationError) as refused:
        producer_config({**_loaded(tmp_path).kafka, **wrong})
    error = refused.value
    assert MARK not in f"{error} {error!r} {error.__cause__!r} {error.__context__!r}"


@pytest.mark.parametrize(
    "text",
    [
        f"sasl.password={PLANTED['password']} refused",
        f'{{"sasl.password": "{PLANTED["password"]}", "x": 1}}',
        f"http://somebody:{PLANTED['password']}@registry:8081/subjects",
        f"Authorization: Bearer {TOKEN}",
        f"token {TOKEN} expired",
        f"{{'basic.auth.user.info': '{PLANTED['basic']}'}}",
        f'login required username="u" password="{PLANTED["password"]}";',
        f"ssl.key.password: {PLANTED['passphrase']}",
        f"private_key_passphrase='{PLANTED['passphrase']}'",
        f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{MARK}\n-----END ENCRYPTED PRIVATE KEY-----",
    ],
)
def test_a_log_cuts_secrets_out_the_trace_included(text):
    assert MARK not in redact(text)
    failure = RuntimeError(text)
    record = logging.LogRecord(
        "planted", logging.ERROR, __file__, 1, "failed with %s", (text,), (RuntimeError, failure, None)
    )
    written = RedactingFormatter().format(record)
    assert "RuntimeError" in written
    assert MARK not in written


def test_a_document_for_a_page_has_none(tmp_path):
    assert MARK not in json.dumps(redacted(_document(tmp_path) | {"api_key": MARK, "list": [{"password": MARK}]}))


def test_a_key_is_kept_as_its_hash_and_shown_once(tmp_path):
    file = tmp_path / "keys.json"
    kept, key = add_key(file, "planted", Role.VIEWER)
    secret = key.rpartition("_")[2]
    assert secret not in file.read_text()
    assert secret not in repr(kept)
    assert secret not in redact(f"refused {key}")
