"""A delivery from its files to its tables, and orders from their entry to theirs, on the secured stack, each step as
the principal that an installation gives it; and what one sees whose rights are too few."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import psutil
import pytest
import snowflake.connector
from fastapi.testclient import TestClient
from tests.integration.security.conftest import send
from tests.integration.security.order_rights import MAY, NOBODY_MAY, REFUSED_FOR, TOPICS, attempts_of, refused

from feedline import cycle
from feedline.batch.schemas import MANIFEST_SCHEMA, batch_schema, batch_subject, manifest_subject
from feedline.catalog import Catalog, load_catalog
from feedline.datagen import generate_day
from feedline.errors import AuthenticationError, RegistryUnavailableError, TerminalError
from feedline.kafka.admin import admin_client, ensure_topics, watermarks
from feedline.kafka.registry import register_schema, registry_client
from feedline.kafka.schema_topic import read_entries
from feedline.local.order_services import BULK, ENGINE, ENTRY, GATEWAY, order_services_at, start_order_services
from feedline.local.stack import StackConfig, down, up
from feedline.orders.demo.flow import Pace, Tally, enter_in_bulk, enter_over_http
from feedline.orders.demo.stages import await_drained, look, tell
from feedline.orders.fix.connection import Connection
from feedline.orders.fix.session_policy import SessionPolicy
from feedline.orders.model import EntrySource
from feedline.orders.provision import provision_orders
from feedline.orders.reconcile.books import reconcile
from feedline.orders.recovery.run import Outcome, recover
from feedline.orders.recovery.window import Window
from feedline.orders.testdata.lives import Lives, LivesPolicy
from feedline.orders.warehouse.rows import EXCHANGE_ZONE
from feedline.orders.warehouse.run import load_all
from feedline.orders.warehouse.tables import provision_order_tables
from feedline.provisioning.actual import topic_configs
from feedline.provisioning.desired import read_desired
from feedline.provisioning.installation import Installation
from feedline.provisioning.state import Part
from feedline.security.principals import Service
from feedline.services import metadata_api
from feedline.services.api_keys import add_key
from feedline.services.auth import AccessConfig, Authenticator
from feedline.services.roles import Role
from feedline.settings import Settings
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.provision import provision_tables
from feedline.warehouse.validate import validate_delivery

EVENTS = 30
DAY = date(2026, 11, 20)
FEED = "snapshots"
FUNDS = 2


@dataclass(frozen=True)
class SecuredStack:
    """The local stack in its secured form. settings: how to reach it, each service as its own principal."""

    home: Path
    settings: Settings


@pytest.fixture(scope="module")
def secured_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredStack]:
    home = tmp_path_factory.mktemp("secured-stack")
    try:
        yield SecuredStack(home.resolve(), up(StackConfig(home=home, airflow=False, secure=True)))
    finally:
        # Admin clients have no close: those still waiting to be collected would log that the brokers went away.
        gc.collect()
        down(home)


@pytest.fixture(scope="module")
def settings(secured_stack):
    return secured_stack.settings


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


def test_the_metadata_service_keeps_what_it_registers_where_loaders_look_it_up(settings, feed, tmp_path):
    """Who registers writes the topic of schemas, which nobody else may."""
    _, key = add_key(tmp_path / "keys.json", "engineer", Role.ENGINEER)
    app = metadata_api.create_app(settings, Authenticator(AccessConfig(tmp_path / "keys.json")))
    schema = {"type": "record", "name": "Kept", "fields": [{"name": "id", "type": "string"}]}
    with TestClient(app, headers={"X-API-Key": key}) as service:
        answer = service.post("/subjects/kept-value/versions", json={"schema": json.dumps(schema)})
    assert answer.status_code == 200, answer.text
    kept = read_entries(settings.acting_as("loader").kafka)
    assert [(one.subject, one.by) for one in kept] == [("kept-value", "key:engineer")]


@pytest.fixture(scope="module")
def orders(settings):
    """The topics of orders, on few partitions."""
    provision_orders(settings, TOPICS)
    return TOPICS


def test_what_is_declared_of_orders_is_what_the_stack_has(settings, orders):
    wanted = read_desired(settings, load_catalog())
    assert {rule for rule in wanted.rules if rule.principal == str(Service.GATEWAY)}
    assert Installation(settings, wanted, [Part.USERS, Part.RULES]).plan().changes == ()
    # By the same declaration as `feedline provision`: nothing is left but the number of partitions.
    plan = Installation(settings, wanted, [Part.TOPICS, Part.SCHEMAS]).plan()
    left = [one for one in plan.changes if one.target.startswith("orders.")]
    assert {one.action for one in left} == {"grow"}
    configs = topic_configs(admin_client(settings.acting_as("provisioning").kafka), orders.names)
    assert {one["min.insync.replicas"] for one in configs.values()} == {"2"}


def test_orders_go_their_whole_way_each_service_as_its_own_principal(secured_stack, settings, orders, tmp_path):
    """Whoever forgot to act as its principal would do it as the watcher, who may read and write nothing of orders."""
    home = secured_stack.home
    keys = order_services_at(home, {}).keys
    keys.parent.mkdir(parents=True, exist_ok=True)
    _, key = add_key(keys, "desk", Role.OPERATOR)
    services = start_order_services(home, print)
    tell(services.url(ENGINE), "/behaviour", {"answer": "ack"})
    over_http, in_bulk = Tally(), Tally()
    lives = Lives(LivesPolicy(source=EntrySource.HTTP), 3).whole()

    def drained():
        return await_drained(lambda: look(*map(services.url, (BULK, GATEWAY, ENGINE))), over_http.entered, within_s=240)

    enter_over_http(services.url(ENTRY), key, lives, Pace(EVENTS, 1), over_http)
    drained()
    since = datetime.now(UTC)
    # What is no order, bulk entry refuses on the topic of errors.
    send(settings.acting_as("order-test").kafka, orders.bulk)
    enter_in_bulk(settings, orders, Lives(LivesPolicy(client="desk"), 3).whole(), Pace(EVENTS, 1), in_bulk)
    deadline = time.monotonic() + 240
    while (stages := drained()).bulk < in_bulk.entered:
        assert time.monotonic() < deadline, stages
    assert not over_http.refused
    assert stages.booked == over_http.entered + in_bulk.entered >= 2 * EVENTS
    assert watermarks(settings.acting_as("loader").kafka, orders.error, [0])[0][1] > 0
    tell(services.url(ENGINE), "/forget", {"since": since.isoformat()})
    session = SessionPolicy(
        sender="RECOVERY", targets=("ENGINE",), folder=tmp_path, host="127.0.0.1", port=services.ports["order_fix"]
    )
    again = recover(settings, orders, Window(start=since), Connection(session), dry_run=False)
    assert [one.outcome for one in again] == [Outcome.TAKEN] * in_bulk.entered
    with open_warehouse(settings.warehouse) as connection:
        provision_order_tables(connection)
        loaded = load_all(settings, connection, orders)
        books = reconcile(
            settings,
            connection,
            datetime.now(EXCHANGE_ZONE).date(),
            topics=orders,
            engine_folder=services.engine_folder,
        )
    events, executions = loaded
    # Each was answered once, and what was sent again once more.
    assert (events.loaded, executions.loaded) == (stages.booked, stages.booked + in_bulk.entered)
    assert books.balances, books


def _open_content(file):
    """What is in a file that others than its owner may read; nothing of one that is gone by now."""
    try:
        return file.read_bytes() if file.stat().st_mode & 0o077 else b""
    except FileNotFoundError:
        return b""


def test_no_password_is_open_to_other_users_of_the_machine(secured_stack):
    """Neither in a file that they may read, nor in the arguments of a process, which `ps` shows to all."""
    home = secured_stack.home
    secrets = {file.read_bytes().strip() for file in home.rglob("passwords/*") if file.is_file()}
    secrets |= {file.read_bytes().strip().splitlines()[1] for file in home.rglob("*.key")}
    assert len(secrets) > len(Service)

    def holds(content):
        return any(secret in content for secret in secrets)

    assert all(holds(file.read_bytes()) and not file.stat().st_mode & 0o077 for file in home.rglob("passwords/*"))
    # Indexes of the brokers' logs hold numbers, and are large and empty.
    files = [file for file in home.rglob("*") if file.is_file() and file.suffix not in (".index", ".timeindex")]
    assert any(_open_content(file) for file in files)
    assert [str(file) for file in files if holds(_open_content(file))] == []
    ours = [one for one in psutil.process_iter(["cmdline"]) if str(home) in " ".join(one.info["cmdline"] or ())]
    assert len(ours) > 4
    assert not any(holds(" ".join(one.info["cmdline"]).encode()) for one in ours)


def test_a_service_of_orders_may_do_what_it_must_and_nothing_else(settings, orders):
    found, reasons = {}, {}
    with ThreadPoolExecutor(8) as pool:
        jobs = {
            (service, name): pool.submit(refused, attempt, settings.acting_as(service.removeprefix("feedline-")).kafka)
            for service in MAY
            for name, attempt in attempts_of(service).items()
        }
        for (service, name), job in jobs.items():
            code = job.result()
            found.setdefault(service, set()).update({name} if code is None else ())
            if code is not None:
                reasons.setdefault(name.partition(" ")[0], set()).add(code)
    # Each attempt is made by one at least who may, but those that nobody may: it is no refusal of something else.
    assert set().union(*MAY.values(), NOBODY_MAY) == set(attempts_of(Service.GATEWAY))
    assert found == MAY
    assert reasons == {kind: {code} for kind, code in REFUSED_FOR.items()}
