"""Ports of the local stack."""

from __future__ import annotations

import socket

import pytest

from feedline.errors import ConfigurationError
from feedline.local.ports import HOST, RANGE, choose_ports


@pytest.fixture
def taken():
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_wanted_port_in_use_is_named(taken):
    with pytest.raises(ConfigurationError, match=rf"port {taken} for kafka is in use"):
        choose_ports({"kafka": taken}, {})


def test_a_port_that_cannot_be_is_refused():
    with pytest.raises(ConfigurationError, match="port 70000 for kafka"):
        choose_ports({"kafka": 70_000}, {})


def test_every_service_gets_a_port_of_its_own():
    chosen = choose_ports(dict.fromkeys("abcdefgh", 0), {})
    assert len(set(chosen.values())) == 8
    assert all(port in RANGE for port in chosen.values())


def test_a_service_keeps_its_port_while_it_is_free(taken):
    kept = choose_ports({"kafka": 0}, {})["kafka"]
    assert choose_ports({"kafka": 0}, {"kafka": kept}) == {"kafka": kept}
    assert choose_ports({"kafka": 0}, {"kafka": taken})["kafka"] != taken
