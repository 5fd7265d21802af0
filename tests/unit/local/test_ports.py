"""Ports of the local stack."""

from __future__ import annotations

import socket
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from feedline.errors import ConfigurationError
from feedline.local import ports
from feedline.local.ports import HOST, RANGE, choose_ports


@pytest.fixture(autouse=True)
def _own_ledger(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


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


@pytest.fixture
def _few_ports(monkeypatch):
    """Few enough ports that whoever chooses at random would soon choose one of another."""
    monkeypatch.setattr(ports, "RANGE", RANGE[-60:])


@pytest.mark.usefixtures("_few_ports")
def test_a_port_that_nobody_listens_on_yet_is_not_given_again():
    with ProcessPoolExecutor(4, mp_context=get_context("fork")) as pool:
        chosen = [chosen["kafka"] for chosen in pool.map(choose_ports, [{"kafka": 0}] * 20, [{}] * 20)]
    assert len(set(chosen)) == 20


@pytest.mark.usefixtures("_few_ports")
def test_a_port_is_given_again_later(monkeypatch):
    chosen = {choose_ports({"kafka": 0}, {})["kafka"] for _ in range(10)}
    monkeypatch.setattr(ports, "GIVEN_FOR_S", 0.0)
    monkeypatch.setattr(ports, "RANGE", sorted(chosen))
    assert choose_ports({"kafka": 0}, {})["kafka"] in chosen


@pytest.mark.parametrize("torn", ['{"20000": 17', "[]", '{"20000": "now"}', ""])
def test_a_torn_list_of_given_ports_is_begun_anew(tmp_path, torn):
    choose_ports({"kafka": 0}, {})
    [file] = tmp_path.glob("feedline-ports-*")
    file.write_text(torn)
    assert choose_ports({"kafka": 0}, {})["kafka"] in RANGE


def test_ports_are_given_where_nothing_can_be_written(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    assert choose_ports({"kafka": 0}, {})["kafka"] in RANGE
