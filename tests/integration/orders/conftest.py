"""Topics of orders for one test alone, and order entry as the process that `feedline orders serve` is."""

from __future__ import annotations

import itertools
import os
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.orders.load_bench import LoadBench
from tests.integration.orders.order_world import PARTITIONS

from feedline.orders.provision import provision_orders
from feedline.orders.topics import OrderTopics
from feedline.orders.warehouse.tables import provision_order_tables
from feedline.services.api_keys import add_key
from feedline.services.roles import Role
from order_flow.flow import flow

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Keys:
    """file: what the services read; desk, other: may enter orders; viewer: may look."""

    file: Path
    desk: str
    other: str
    viewer: str


@pytest.fixture(scope="session")
def order_keys(tmp_path_factory):
    file = tmp_path_factory.mktemp("order-keys") / "keys.json"
    made = [
        add_key(file, name, role)[1]
        for name, role in (("desk", Role.OPERATOR), ("other", Role.OPERATOR), ("eye", Role.VIEWER))
    ]
    return Keys(file, *made)


@pytest.fixture
def topics(stack):
    own = OrderTopics(f"T{os.getpid()}.{next(_numbers)}.{uuid.uuid4().hex[:6]}.", PARTITIONS)
    provision_orders(stack.settings, own)
    return own


@pytest.fixture
def settings_file(stack, tmp_path):
    """The stack's settings, as a file for a process."""
    file = tmp_path / "settings.json"
    file.write_text((stack.home / "settings.json").read_text())
    return file


@pytest.fixture
def the_flow(stack, topics, settings_file, tmp_path):
    """Orders without any service yet; whatever a test starts of them is gone after it."""
    with flow(stack.settings, settings_file, topics, tmp_path, PARTITIONS) as made:
        yield made


@pytest.fixture
def bench(warehouse_settings, connection, topics):
    provision_order_tables(connection)
    return LoadBench(warehouse_settings, topics, connection)
