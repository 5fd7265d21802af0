"""The services of the integration tests: one real broker, registry and warehouse stand-in for the whole session."""

from __future__ import annotations

import gc
import itertools
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import snowflake.connector
from snowflake.connector import SnowflakeConnection

from feedline.catalog import Catalog, load_catalog
from feedline.local.stack import StackConfig, down, up
from feedline.settings import Settings

PARTITIONS = 8
HERE = Path(__file__).parent
# The files that take longest, begun first: what is still at work when the others have ended is short.
LONGEST = (
    "security/test_whole_path.py",
    "security/test_secured_cluster.py",
    "orders/test_recover.py",
    "orders/test_gateway.py",
    "orders/test_http_entry.py",
    "services/test_api_fuzz.py",
    "security/test_secrets_of_services.py",
    "test_stack_survives.py",
)
_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `--dist loadgroup` the tests of a file share a worker, and so do all that need the three secured brokers,
    which are started once."""
    ours = {str(HERE / name): place for place, name in enumerate(LONGEST)}
    for item in items:
        if item.path.is_relative_to(HERE):
            secured = "secured" in getattr(item, "fixturenames", ()) and item.path.parent.name == "security"
            item.add_marker(pytest.mark.xdist_group("secured" if secured else str(item.path.relative_to(HERE))))
    items.sort(key=lambda item: ours.get(str(item.path), len(ours)))


@dataclass(frozen=True)
class Stack:
    """home: its state folder; settings: how to reach it."""

    home: Path
    settings: Settings


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("stack")
    try:
        yield Stack(home.resolve(), up(StackConfig(home=home, airflow=False)))
    finally:
        # Admin clients have no close: those still waiting to be collected would log that the broker went away.
        gc.collect()
        down(home)


@pytest.fixture
def catalog() -> Catalog:
    """The shipped catalogue on a topic of this test alone, with few partitions."""
    shipped = load_catalog()
    suffix = f"{os.getpid()}.{next(_numbers)}.{uuid.uuid4().hex[:6]}"
    topics = {
        topic.name: replace(topic, name=f"{topic.name}.T{suffix}", partitions=PARTITIONS) for topic in shipped.topics()
    }
    return Catalog({name: replace(feed, topic=topics[feed.topic.name]) for name, feed in shipped.feeds.items()})


@pytest.fixture(scope="module")
def warehouse_settings(stack: Stack, request: pytest.FixtureRequest) -> Settings:
    """Settings whose warehouse is a database of this test module alone, and whose landing folder is its own."""
    name = request.module.__name__.rsplit(".", 1)[-1]
    folder = stack.home / "warehouses" / name
    warehouse = dict(stack.settings.warehouse)
    warehouse["session_parameters"] = {**warehouse["session_parameters"], "FAKESNOW_DB_PATH": str(folder)}
    landing = stack.home / "landings" / name
    landing.mkdir(parents=True, exist_ok=True)
    return replace(stack.settings, warehouse=warehouse, landing=landing)


@pytest.fixture
def connection(warehouse_settings: Settings) -> Iterator[SnowflakeConnection]:
    """A session of the module's own database."""
    session = snowflake.connector.connect(**warehouse_settings.warehouse)
    try:
        yield session
    finally:
        session.close()
