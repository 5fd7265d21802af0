"""From a selection to the offsets that hold it, and to the manifests that its deliveries are held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from snowflake.connector import SnowflakeConnection

from feedline.batch.manifest import DeliveryManifest
from feedline.catalog import Feed
from feedline.consumer.manifests import read_manifests
from feedline.consumer.ranges import LoadRange, PartitionSpan
from feedline.errors import ConfigurationError, OffsetsExpiredError
from feedline.kafka.admin import admin_client, partition_count, watermarks
from feedline.kafka.config import consumer_config
from feedline.kafka.errors import translate
from feedline.replay.books import Booked, booked, known_manifests
from feedline.replay.selection import Selection
from feedline.settings import Settings
from feedline.warehouse.connection import Session

# `assign` and the look-up of times need the name of a group, which is never joined and never committed to.
REPLAY_GROUP = "feedline.replay"
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Scope:
    """spans: what to read; manifests: by delivery id, those of the whole deliveries selected; orphans: deliveries
    with rows in the tables and no manifest anywhere, with their rows; gone: correlation ids of corrected records that
    are loaded and have left the topic, which nothing here can be held against; notes: what a reader should know
    besides."""

    feed: Feed
    selection: Selection
    spans: LoadRange
    manifests: Mapping[str, DeliveryManifest] = field(default_factory=dict)
    orphans: Mapping[str, int] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def find_scope(settings: Settings, connection: SnowflakeConnection, feed: Feed, selection: Selection) -> Scope:
    """Raises OffsetsExpiredError when what is selected is older than the topic's retention, ConfigurationError when a
    delivery or a correlation id is known neither to the topic nor to the warehouse."""
    session = Session(connection, feed=feed.name, topic=feed.topic.name)
    partitions = partition_count(admin_client(settings.kafka), feed.topic.name)
    marks = watermarks(settings.kafka, feed.topic.name, range(partitions))
    if selection.offsets:
        return _scope(feed, selection, _kept(feed, selection.offsets, marks))
    if selection.since:
        return _since(settings, feed, selection, marks)
    if selection.of_deliveries:
        return _deliveries(settings, session, feed, selection, marks)
    rows = booked(session, feed.name, selection)
    if rows:
        return _scope(feed, selection, _kept(feed, _around(feed, rows), marks))
    note = "the ledger does not know it: all that the topic holds of the feed was looked through"
    everything = [PartitionSpan(p, low, high) for p, (low, high) in marks.items() if low < high]
    return replace(_scope(feed, selection, everything), notes=(note,))


def _scope(feed: Feed, selection: Selection, spans: Iterable[PartitionSpan]) -> Scope:
    return Scope(feed, selection, LoadRange(feed.name, feed.topic.name, tuple(spans)))


def _deliveries(
    settings: Settings,
    session: Session,
    feed: Feed,
    selection: Selection,
    marks: Mapping[int, tuple[int, int]],
) -> Scope:
    rows = booked(session, feed.name, selection)
    on_topic = [m for m in read_manifests(settings.kafka, feed.topic.name, feed.name) if _is_meant(selection, m)]
    # The last of a delivery's manifests counts: what it speaks of is kept longest.
    manifests = known_manifests(session, feed.name, selection) | {m.delivery_id: m for m in on_topic}
    orphans: dict[str, int] = {}
    for row in rows:
        if row.delivery_id not in manifests and row.status == "LOADED":
            orphans[row.delivery_id] = orphans.get(row.delivery_id, 0) + row.records
    if not manifests and not orphans and selection.delivery_id is None:
        note = f"no delivery of {selection.business_date} is known: produce it, if need be with --from-archive"
        return replace(_scope(feed, selection, ()), notes=(note,))
    if not manifests and not orphans:
        raise ConfigurationError(
            "neither the topic nor the warehouse knows of such a delivery: look at the name and the feed, or produce "
            "it again from the archive with --from-archive",
            feed=feed.name,
            topic=feed.topic.name,
            delivery_id=selection.delivery_id,
        )
    wanted = [
        PartitionSpan(h.partition, h.first_offset, h.end_offset) for m in manifests.values() for h in m.partitions
    ]
    # A record that was corrected and sent again lies after its delivery's manifest; of what left the topic there may
    # be another copy.
    later = [row for row in rows if row.topic == feed.topic.name and row.offset >= marks.get(row.partition, (0, 0))[0]]
    spans = _joined([*_kept(feed, wanted, marks), *_around(feed, later)])
    kept = {row.correlation_id for row in later}
    gone = frozenset(row.correlation_id for row in rows if row.is_corrected and row.correlation_id not in kept)
    told = (
        f"{len(gone)} messages of corrected records have left the topic: the tables keep them, a side schema lacks them"
    )
    notes = (told,) if gone else ()
    return replace(_scope(feed, selection, spans), manifests=manifests, orphans=orphans, gone=gone, notes=notes)


def _is_meant(selection: Selection, manifest: DeliveryManifest) -> bool:
    return selection.delivery_id in (None, manifest.delivery_id) and selection.business_date in (
        None,
        manifest.business_date,
    )


def _around(feed: Feed, rows: Iterable[Booked]) -> list[PartitionSpan]:
    """The shortest spans that hold the messages that these ledger rows speak of."""
    found = [PartitionSpan(r.partition, r.offset, r.offset + 1) for r in rows if r.topic == feed.topic.name]
    return _joined(found)


def _joined(spans: Iterable[PartitionSpan]) -> list[PartitionSpan]:
    """One span a partition, from its first offset to its last."""
    joined: dict[int, PartitionSpan] = {}
    for span in spans:
        known = joined.get(span.partition, span)
        joined[span.partition] = PartitionSpan(span.partition, min(known.start, span.start), max(known.end, span.end))
    return [joined[partition] for partition in sorted(joined)]


def _kept(feed: Feed, spans: Iterable[PartitionSpan], marks: Mapping[int, tuple[int, int]]) -> Iterable[PartitionSpan]:
    """The spans, when the topic still has them."""
    joined = _joined(spans)
    for span in joined:
        low, high = marks.get(span.partition, (0, 0))
        if span.start < low:
            raise OffsetsExpiredError(
                f"offsets {span.start} to {span.end - 1} are older than the topic's retention, which keeps {low} to "
                f"{high - 1}: give the delivery or its date with --from-archive (the form's From archive), which "
                "produces it again from the file archive and goes on from there",
                feed=feed.name,
                topic=feed.topic.name,
                partition=span.partition,
                offset=span.start,
            )
        if span.end > high:
            raise ConfigurationError(
                f"the partition ends at offset {high}, and {span.end - 1} is asked for: was the topic made anew?",
                feed=feed.name,
                topic=feed.topic.name,
                partition=span.partition,
                offset=span.end - 1,
            )
    return joined


def _since(settings: Settings, feed: Feed, selection: Selection, marks: Mapping[int, tuple[int, int]]) -> Scope:
    assert selection.since is not None
    begins = _offsets_at(settings.kafka, feed.topic.name, marks, selection.since)
    ends = (
        _offsets_at(settings.kafka, feed.topic.name, marks, selection.until)
        if selection.until
        else {partition: high for partition, (_, high) in marks.items()}
    )
    spans = [PartitionSpan(p, start, ends[p]) for p, start in sorted(begins.items()) if start < ends[p]]
    # What was below the first offset that is kept may have been younger than the moment; nothing tells any more.
    cut = [p for p, start in begins.items() if start == marks[p][0] > 0]
    note = (
        f"of {len(cut)} partitions the topic keeps nothing before offsets of that time: what passed the retention was "
        "not looked at; a delivery that lay there is produced again with --from-archive"
    )
    return replace(_scope(feed, selection, spans), notes=(note,) if cut else ())


def _offsets_at(
    kafka: Mapping[str, Any], topic: str, marks: Mapping[int, tuple[int, int]], moment: datetime
) -> dict[int, int]:
    """Of each partition the first offset whose message is not older; its end when there is none."""
    consumer = Consumer(consumer_config(kafka, group_id=REPLAY_GROUP))
    milliseconds = int(moment.timestamp() * 1000)
    try:
        asked = [TopicPartition(topic, partition, milliseconds) for partition in marks]
        found = consumer.offsets_for_times(asked, timeout=TIMEOUT_SECONDS)
        return {place.partition: _offset(place, marks[place.partition][1]) for place in found}
    except KafkaException as error:
        raise translate(error, topic=topic) from error
    finally:
        consumer.close()


def _offset(place: TopicPartition, end: int) -> int:
    if place.error is not None:
        raise KafkaException(place.error)
    return int(place.offset) if place.offset >= 0 else end
