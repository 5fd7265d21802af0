"""The steps of a redrive: check, send, settle. Each can be repeated at any time, by several callers at once.

What was sent and not settled, because the process died, is loaded by the retry or by the feed's next load: its books
are right either way, since an error counts as redriven from the moment it is in the table and not before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from snowflake.connector import SnowflakeConnection

from feedline import cycle
from feedline.batch.identity import Cycle, Delivery
from feedline.batch.manifest import DeliveryManifest, PartitionRange
from feedline.catalog import Catalog, Feed
from feedline.errors import ControlMismatchError
from feedline.kafka.registry import registry_client, writer_schema
from feedline.producer.delivery_sender import delivery_sender
from feedline.producer.row_encoder import RowEncoder, row_encoder
from feedline.redrive.mend import Mender
from feedline.redrive.plan import Menders, RedrivePlan, plan_as_they_are, plan_corrections, planned_contents
from feedline.redrive.stored_error import Selection
from feedline.settings import Settings
from feedline.warehouse.connection import Session
from feedline.warehouse.decode import Decoder
from feedline.warehouse.deliveries import announced_manifest
from feedline.warehouse.error_books import record_redrive
from feedline.warehouse.load import LoadResult
from feedline.warehouse.report import ValidationReport
from feedline.warehouse.validate import validate_delivery

# What a corrected record shrinks to is not worth measuring: there are few of them, and only evenness depends on it.
PACKING = 0.25


@dataclass(frozen=True, slots=True)
class Sent:
    """What of one delivery was sent and acknowledged, and where it lies."""

    delivery: Delivery
    messages: int
    records: int
    partitions: tuple[PartitionRange, ...]

    def to_dict(self) -> dict[str, Any]:
        """As JSON that is small enough for XCom."""
        one = self.delivery
        return {
            "feed": one.feed,
            "businessDate": one.business_date.isoformat(),
            "cycle": one.cycle.value,
            "deliveryId": one.delivery_id,
            "messages": self.messages,
            "records": self.records,
            "partitions": [[p.partition, p.first_offset, p.end_offset] for p in self.partitions],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Sent:
        """The one that `to_dict` told of."""
        day, cycle_ = date.fromisoformat(document["businessDate"]), Cycle(document["cycle"])
        return cls(
            Delivery(document["feed"], day, cycle_, document["deliveryId"]),
            document["messages"],
            document["records"],
            tuple(PartitionRange(p, first, end, 0, 0, 0) for p, first, end in document["partitions"]),
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of one delivery: records now in its table because of this call, and what its validation says."""

    delivery: Delivery
    loaded_records: int
    report: ValidationReport


def check(
    settings: Settings, connection: SnowflakeConnection, catalog: Catalog, source: Path | Selection
) -> RedrivePlan:
    """What a file of corrections, or open errors as they are, would send: see `plan_corrections`, `plan_as_they_are`.

    Sends and changes nothing. Raises ControlMismatchError for a delivery that was never completed: what is missing of
    it is more than its errors.
    """
    menders = _menders(settings, catalog, register=False)
    if isinstance(source, Path):
        plan = plan_corrections(settings, connection, catalog, source, menders)
    else:
        plan = plan_as_they_are(settings, connection, catalog, source, menders)
    for delivery in plan.deliveries():
        manifest_of(settings, connection, catalog.feed(delivery.feed), delivery)
    return plan


def send(
    settings: Settings, connection: SnowflakeConnection, catalog: Catalog, plan: RedrivePlan, *, requested_by: str
) -> list[Sent]:
    """Sends what was planned, delivery by delivery; all of it is acknowledged when this returns.

    requested_by: who wants it, recorded with the time before anything is sent.

    One `Sent` for each delivery of the plan, also where there was nothing left to send: its books are to be looked at.
    Raises BrokerUnavailableError, RegistryUnavailableError, AuthenticationError, LostRaceError,
    WarehouseUnavailableError; what was sent before stays on the topic, and sending it again does no harm.
    """
    _record(connection, catalog, plan, requested_by)
    menders = _menders(settings, catalog, register=True)
    return [_send(settings, catalog, plan, delivery, menders) for delivery in plan.deliveries()]


def _record(connection: SnowflakeConnection, catalog: Catalog, plan: RedrivePlan, requested_by: str) -> None:
    how = "as it is" if plan.corrections is None else f"corrected by {plan.corrections.name}"
    for name in dict.fromkeys(error.feed for error in plan.errors.values()):
        named = [(e.error_id, e.delivery_id, e.records) for e in plan.errors.values() if e.feed == name]
        record_redrive(Session(connection, feed=name), catalog.feed(name), named, how=how, by=requested_by)


def settle(settings: Settings, connection: SnowflakeConnection, feed: Feed, sent: Sent) -> Settled:
    """Loads what was sent, and what of its delivery is not loaded yet, then validates the delivery.

    Raises what `cycle.plan`, `cycle.load` and `validate_delivery` raise.
    """
    manifest = manifest_of(settings, connection, feed, sent.delivery)
    loaded = _load(settings, connection, feed, manifest)
    if sent.partitions:
        loaded += _load(settings, connection, feed, replace(manifest, partitions=sent.partitions))
    report = validate_delivery(connection, feed, manifest)
    return Settled(sent.delivery, sum(result.records for result in loaded), report)


def manifest_of(
    settings: Settings, connection: SnowflakeConnection, feed: Feed, delivery: Delivery
) -> DeliveryManifest:
    """A delivery's manifest: the topic's, or where its retention has passed the warehouse's.

    Raises ControlMismatchError when there is none.
    """
    found = cycle.delivered(
        settings, feed, delivery.business_date, delivery.cycle, delivery_id=delivery.delivery_id
    ) or announced_manifest(Session(connection), feed.name, delivery.delivery_id)
    if found is None:
        raise ControlMismatchError(
            "the delivery was never completed, so its errors are not all that is missing of it: have its files "
            "produced to the end first",
            feed=feed.name,
            delivery_id=delivery.delivery_id,
            topic=feed.topic.name,
        )
    return found


def _load(
    settings: Settings, connection: SnowflakeConnection, feed: Feed, manifest: DeliveryManifest
) -> list[LoadResult]:
    ranges = cycle.plan(settings, connection, feed, manifest, max_ranges=1)
    return [cycle.load(settings, connection, feed, one) for one in ranges]


def _send(settings: Settings, catalog: Catalog, plan: RedrivePlan, delivery: Delivery, menders: Menders) -> Sent:
    feed = catalog.feed(delivery.feed)
    if not any(error.delivery == delivery for error in plan.errors.values()):
        return Sent(delivery, 0, 0, ())
    messages = records = 0
    with delivery_sender(
        settings.acting_as("redrive").kafka, feed, delivery, expected_bytes=0, packing=PACKING
    ) as sender:
        for error, content in planned_contents(settings, catalog, plan):
            if error.delivery == delivery:
                mended = menders(feed.name).mend(error, content)
                sender.send(mended.headers, mended.value)
                messages, records = messages + 1, records + mended.headers.record_count
        sender.finish()
        return Sent(delivery, messages, records, sender.partitions())


def _menders(settings: Settings, catalog: Catalog, *, register: bool) -> Menders:
    """Menders that are made when first asked for. Without `register` what they make may be checked but not sent."""

    @cache
    def mender(name: str) -> Mender:
        feed = catalog.feed(name)
        client = registry_client(settings.registry)
        encoder = row_encoder(feed, client, register=True) if register else RowEncoder(feed, 0)
        return Mender(feed, encoder, Decoder(feed, lambda number: writer_schema(client, number)))

    return mender
