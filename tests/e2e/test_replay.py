"""`ihub_replay` by its form: damage is found, shown, mended, a delivery loaded anew, an old date fetched back."""

from __future__ import annotations

import shutil
from datetime import date

import pytest
from confluent_kafka import Consumer, TopicPartition

from feedline import cycle
from feedline.batch.control_file import delivery_folder
from feedline.catalog import load_catalog
from feedline.consumer.range_reader import group_of
from feedline.datagen import generate_day
from feedline.kafka.admin import admin_client
from feedline.kafka.config import consumer_config
from feedline.warehouse.connection import open_warehouse
from feedline.warehouse.layout import feed_layout
from feedline.warehouse.names import CONSUMER_CHECKPOINT, LOAD_LEDGER, data_table
from feedline.warehouse.validate import validate_delivery

DAY, OLD_DAY = date(2026, 10, 14), date(2026, 10, 13)
SIDE = "IHUB_REBUILD"


class Desk:
    """An analyst's, for the feed `transactions`: what it takes to damage it, and to see what was touched."""

    def __init__(self, stack, content) -> None:
        self.stack, self.airflow, self.content = stack, stack.airflow, content
        self.settings, self.feed = stack.settings, load_catalog().feed("transactions")

    def deliver(self, day):
        """Produces, loads and validates a date's delivery; its manifest."""
        catalog, landing = load_catalog(), self.settings.landing
        generate_day(catalog, business_date=day, funds=1, seed=6, out=landing, feeds=[self.feed.name])
        manifest = cycle.produce(self.settings, self.feed, day)
        with open_warehouse(self.settings.warehouse) as connection:
            for part in cycle.plan(self.settings, connection, self.feed, manifest):
                cycle.load(self.settings, connection, self.feed, part)
            validate_delivery(connection, self.feed, manifest).raise_for_failures()
        return manifest

    def query(self, sql):
        with open_warehouse(self.settings.warehouse) as connection, connection.cursor() as cursor:
            return cursor.execute(sql).fetchall()

    def ids(self, day):
        of_date = f"FEED = '{self.feed.name}' AND BUSINESS_DATE = '{day}'"
        return [row[0] for row in self.query(f"SELECT CORRELATION_ID FROM {LOAD_LEDGER} WHERE {of_date} ORDER BY 1")]

    def take_out(self, rows, *, ledger):
        """Deletes the rows of some micro-batches, and the ledger's of others."""
        these, those = ("', '".join(ids) for ids in (rows, ledger))
        for table in feed_layout(self.feed).tables():
            self.query(f"DELETE FROM {data_table(table.name)} WHERE \"_CORRELATION_ID\" IN ('{these}')")
        self.query(f"DELETE FROM {LOAD_LEDGER} WHERE CORRELATION_ID IN ('{those}')")

    def loaded_at(self, day):
        [(first,)] = self.query(
            f'SELECT MIN("_LOADED_AT") FROM {data_table(self.feed.table)} WHERE "_BUSINESS_DATE" = \'{day}\''
        )
        return first

    def live(self):
        """Where the live loads stand: their checkpoints with their epochs, and their group's offsets."""
        topic = self.feed.topic
        checkpoints = self.query(
            f"SELECT PARTITION, NEXT_OFFSET, EPOCH FROM {CONSUMER_CHECKPOINT} "
            f"WHERE TOPIC = '{topic.name}' AND CONSUMER_GROUP = '{group_of(self.feed.name)}' ORDER BY 1"
        )
        consumer = Consumer(consumer_config(self.settings.kafka, group_id=group_of(self.feed.name)))
        try:
            asked = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
            return checkpoints, {place.partition: place.offset for place in consumer.committed(asked, timeout=30)}
        finally:
            consumer.close()

    def expire(self, manifest):
        """Deletes a delivery from the topic, as its retention would."""
        ends = [TopicPartition(self.feed.topic.name, held.partition, held.end_offset) for held in manifest.partitions]
        # Held in a name: a client that is let go answers none of its futures.
        admin = admin_client(self.settings.kafka)
        for future in admin.delete_records(ends).values():
            future.result()

    def form(self, day, **chosen):
        return {"business_date": day.isoformat(), "feeds": [self.feed.name], **chosen}

    def log(self, run):
        return self.airflow.log("ihub_replay", run, "replay", map_index=0)


@pytest.fixture
def desk(provisioned, content):
    provisioned.airflow.await_dag("ihub_replay")
    return Desk(provisioned, content)


def test_damage_is_found_shown_and_mended_and_the_live_group_does_not_move(desk):
    manifest, airflow = desk.deliver(DAY), desk.airflow
    right, live, loaded_at = desk.content(desk.feed, DAY), desk.live(), desk.loaded_at(DAY)
    gone, rowless, unbooked, *_ = desk.ids(DAY)
    desk.take_out([gone, rowless], ledger=[gone, unbooked])
    damaged = desk.content(desk.feed, DAY)
    assert damaged != right

    verify = airflow.trigger("ihub_replay", desk.form(DAY, mode="verify"))
    shown = airflow.run("ihub_replay", **desk.form(DAY, mode="repair"))
    assert airflow.finish("ihub_replay", verify) == "failed"
    told = desk.log(verify)
    assert f"{manifest.delivery_id}: {manifest.batches} micro-batches, {manifest.records} records" in told
    for state in ("1 missing", "1 rows missing", "1 not in the ledger"):
        assert state in told
    assert "run it in mode repair" in told
    assert "would load 3 messages" in desk.log(shown)
    assert desk.content(desk.feed, DAY) == damaged

    repaired = airflow.run("ihub_replay", **desk.form(DAY, mode="repair", dry_run=False))
    assert "loaded 3 messages" in desk.log(repaired)
    assert desk.content(desk.feed, DAY) == right

    beside = airflow.trigger("ihub_replay", desk.form(DAY, mode="rebuild", dry_run=False, schema=SIDE))
    in_place = airflow.run("ihub_replay", **desk.form(DAY, mode="rebuild", dry_run=False))
    assert airflow.finish("ihub_replay", beside) == "success"
    assert f"loaded {manifest.batches} messages of {manifest.records} records" in desk.log(in_place)
    assert desk.loaded_at(DAY) > loaded_at
    assert desk.content(desk.feed, DAY) == right == desk.content(desk.feed, DAY, schema=f"FEEDLINE.{SIDE}")
    assert desk.live() == live


def test_a_date_that_is_older_than_the_topic_says_so_and_goes_on_from_the_archive(desk):
    manifest, airflow = desk.deliver(OLD_DAY), desk.airflow
    right, live = desk.content(desk.feed, OLD_DAY), desk.live()
    desk.expire(manifest)
    shutil.rmtree(delivery_folder(desk.settings.landing, desk.feed.name, OLD_DAY))
    gone, *_ = desk.ids(OLD_DAY)
    desk.take_out([gone], ledger=[gone])

    refused = airflow.fail("ihub_replay", **desk.form(OLD_DAY, mode="repair", dry_run=False))
    told = desk.log(refused)
    assert "older than the topic's retention" in told
    assert "From archive" in told
    assert desk.content(desk.feed, OLD_DAY) != right

    fetched = airflow.run("ihub_replay", **desk.form(OLD_DAY, mode="repair", dry_run=False, from_archive=True))
    assert f"produced {manifest.delivery_id} again from the archive" in desk.log(fetched)
    assert desk.content(desk.feed, OLD_DAY) == right
    assert desk.live() == live
