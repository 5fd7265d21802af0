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
_numbers = itertools.count(1)


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
