"""A delivery from its files to its tables on the secured stack, each step as the principal that an installation gives
it; and what one sees whose rights are too few."""

from __future__ import annotations

import gc
from dataclasses import replace
from datetime import date

import pytest
import snowflake.connector

from feedline import cycle
from feedline.batch.schemas import MANIFEST_SCHEMA, batch_schema, batch_subject, manifest_subject
from feedline.catalog import Catalog, load_catalog
from feedline.datagen import generate_day
from feedline.errors import AuthenticationError, RegistryUnavailableError, TerminalError
from feedline.kafka.admin import admin_client, ensure_topics
from feedline.kafka.registry import register_schema, registry_client
from feedline.local.stack import StackConfig, down, up
from feedline.warehouse.provision import provision_tables
from feedline.warehouse.validate import validate_delivery

DAY = date(2026, 11, 20)
FEED = "snapshots"
FUNDS = 2


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    home = tmp_path_factory.mktemp("secured-stack")
    try:
        yield up(StackConfig(home=home, airflow=False, secure=True))
    finally:
        # Admin clients have no close: those still waiting to be collected would log that the brokers went away.
        gc.collect()
        down(home)


@pytest.fixture(scope="module")
def feed(settings):
    """Of the catalogue, whose topic the principals have their rights for, on few partitions."""
    shipped = load_catalog().feed(FEED)
    feed = replace(shipped, topic=replace(shipped.topic, partitions=3))
    admin = admin_client(settings.acting_as("provisioning").kafka)
    ensure_topics(admin, [feed.topic], settings.replication_factor)
    registry = registry_client(settings.registry)
    register_schema(registry, manifest_subject(feed.topic.name), MANIFEST_SCHEMA)
    register_schema(registry, batch_subject(feed), batch_schema(feed))
    generate_day(load_catalog(), business_date=DAY, funds=FUNDS, seed=3, out=settings.landing)
    return feed


@pytest.fixture(scope="module")
def connection(settings, feed):
    session = snowflake.connector.connect(**settings.warehouse)
    try:
        provision_tables(session, Catalog({FEED: feed}))
        yield session
    finally:
        session.close()


def test_a_delivery_goes_its_whole_way_and_the_books_balance(settings, feed, connection):
    assert settings.kafka["security.protocol"] == "SASL_SSL"
    assert settings.registry["url"].startswith("https://")
    produced = cycle.produce(settings, feed, DAY)
    manifest = cycle.delivered(settings, feed, DAY)
    assert manifest is not None
    assert manifest.source_records == produced.source_records > 0
    ranges = cycle.plan(settings, connection, feed, manifest)
    loaded = sum(cycle.load(settings, connection, feed, one).records for one in ranges)
    assert manifest.source_records == manifest.records == loaded
    assert validate_delivery(connection, feed, manifest).failures == ()
    assert cycle.plan(settings, connection, feed, manifest) == ()


def test_who_has_too_few_rights_is_told_of_what(settings, feed):
    """The principal that only looks tries to produce: one error, for good, with the topic's name."""
    few = replace(settings, principals={**settings.principals, "producer": settings.principals["watcher"]})
    with pytest.raises(AuthenticationError) as refused:
        cycle.produce(few, feed, DAY)
    assert isinstance(refused.value, TerminalError)
    assert feed.topic.name in str(refused.value)
    assert "rights" in str(refused.value)


def test_a_registry_whose_certificate_nobody_vouches_for_is_not_believed(settings, feed):
    # Without what was kept of its answers either.
    trusting = {"url": settings.registry["url"]}
    with pytest.raises(RegistryUnavailableError, match=r"(?i)certificate"):
        register_schema(registry_client(trusting), batch_subject(feed), batch_schema(feed))
