"""The three modes of a replay: verify, repair, rebuild; of one feed at a time.

A replay reads its partitions by `assign` under a name of its own, commits nothing, and writes beside the checkpoints:
the live loads and their group's offsets are not touched by any of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, replace

from snowflake.connector import SnowflakeConnection

from feedline.batch.consumed import ConsumedBatch
from feedline.batch.manifest import DeliveryManifest
from feedline.catalog import Feed
from feedline.consumer.range_reader import read_range
from feedline.consumer.ranges import LoadRange, PartitionSpan
from feedline.errors import ConfigurationError
from feedline.kafka.registry import registry_client, writer_schema
from feedline.producer.error_report import error_reporter
from feedline.replay.compare import Comparison, Seen, compare, seen_of
from feedline.replay.produce_again import archived_sources, produce_again
from feedline.replay.report import DeliveryFinding, ReplayReport
from feedline.replay.scope import REPLAY_GROUP, Scope, find_scope
from feedline.replay.selection import Mode, Selection
from feedline.settings import Settings
from feedline.warehouse.connection import Session
from feedline.warehouse.load import OnStep
from feedline.warehouse.reload import Reloaded, drop_delivery, rebuild_delivery, replace_batches, rows_of_delivery
from feedline.warehouse.report import ValidationReport
from feedline.warehouse.validate import check_delivery, validate_delivery

# Called with the messages read since the last call.
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayOptions:
    """dry_run: tell what would be done; schema: of a rebuild, tables beside the feed's own; from_archive: produce what
    is selected again first; drop_incomplete: a rebuild takes out the delivery that was never finished."""

    mode: Mode
    dry_run: bool = False
    schema: str | None = None
    from_archive: bool = False
    drop_incomplete: bool = False

    def __post_init__(self) -> None:
        if self.mode is not Mode.REBUILD and (self.schema or self.drop_incomplete):
            raise ConfigurationError("a schema and drop-incomplete are for a rebuild: no other mode deletes anything")
        if self.schema is not None and self.schema.upper() in ("IHUB", "CONTROL"):
            raise ConfigurationError(f"{self.schema} holds the live tables: name another schema, as IHUB_REBUILD")


def replay(
    settings: Settings,
    connection: SnowflakeConnection,
    feed: Feed,
    selection: Selection,
    options: ReplayOptions,
    *,
    progress: Progress = lambda _: None,
    on_step: OnStep = lambda _: None,
) -> ReplayReport:
    """Runs one mode over what is selected; done again it changes nothing more.

    Raises OffsetsExpiredError when what is selected has left the topic, ConfigurationError when nobody knows of it or
    the mode cannot be used on it, ControlMismatchError when the topic or the archive lacks a part of it,
    BrokerUnavailableError and WarehouseUnavailableError (both: try again).
    """
    settings = settings.acting_as("replay")
    run = _Run(settings, connection, feed, options, progress, on_step)
    produced = None
    if options.from_archive:
        sources = archived_sources(settings, feed, selection)
        produced = ", ".join(source.control.delivery.delivery_id for source in sources)
        if options.dry_run:
            return _would_produce(feed, options, produced)
        produce_again(settings, connection, feed, selection, sources)
    scope = find_scope(settings, connection, feed, selection)
    report = run.rebuild(scope) if options.mode is Mode.REBUILD else run.repair(scope)
    return replace(report, produced=produced, notes=scope.notes)


def _would_produce(feed: Feed, options: ReplayOptions, deliveries: str) -> ReplayReport:
    note = f"would produce {deliveries} again from the archive, then {options.mode}"
    nothing = LoadRange(feed.name, feed.topic.name, ())
    return ReplayReport(feed.name, options.mode, options.dry_run, nothing, 0, notes=(note,))


@dataclass(frozen=True, slots=True)
class _Run:
    """One feed's replay, with what it needs to read and to write."""

    settings: Settings
    connection: SnowflakeConnection
    feed: Feed
    options: ReplayOptions
    progress: Progress
    on_step: OnStep

    def repair(self, scope: Scope) -> ReplayReport:
        """Verifies; then, in that mode, loads what is wrong, and looks again."""
        found = self._compare(scope)
        wrong = found.wrong()
        report = self._report(scope, found)
        if self.options.mode is Mode.VERIFY:
            return report
        report = replace(report, to_load=len(wrong), records_to_load=sum(one.records for one in wrong))
        if self.options.dry_run:
            return report
        changed = self._replace(scope, wrong) if wrong else Reloaded()
        after = self._compare(scope) if wrong else found
        return replace(self._report(scope, after, mark=bool(wrong)), changed=changed)

    def rebuild(self, scope: Scope) -> ReplayReport:
        """Loads the selected deliveries anew, each in a transaction of its own."""
        if not scope.selection.of_deliveries:
            raise ConfigurationError(
                "a rebuild is of whole deliveries: select by delivery or business date; repair takes any selection",
                feed=self.feed.name,
            )
        if scope.orphans and not scope.manifests and not self.options.drop_incomplete:
            name = next(iter(scope.orphans))
            raise ConfigurationError(
                "the delivery was never finished: it has no manifest, so nobody can tell what all of it is. Produce it "
                "again; or, when it will not come, take its rows out with --drop-incomplete",
                feed=self.feed.name,
                delivery_id=name,
            )
        orphans = scope.orphans if self.options.drop_incomplete else {}
        doomed = {*orphans, *(scope.manifests if self.options.schema is None else ())}
        to_delete = sum(rows_of_delivery(self.connection, self.feed, name) for name in doomed)
        report = ReplayReport(
            self.feed.name,
            Mode.REBUILD,
            self.options.dry_run,
            scope.spans,
            0,
            tuple(
                DeliveryFinding(m.delivery_id, m.business_date, m.batches, m.records) for m in scope.manifests.values()
            ),
            orphans=scope.orphans if not orphans else {},
            to_load=sum(manifest.batches for manifest in scope.manifests.values()),
            records_to_load=sum(manifest.records for manifest in scope.manifests.values()),
            to_delete=to_delete,
            schema=self.options.schema,
        )
        if self.options.dry_run:
            return report
        changed = Reloaded()
        for name in orphans:
            _add(changed, drop_delivery(self.connection, self.feed, name))
        for manifest in scope.manifests.values():
            _add(changed, self._rebuild(scope, manifest))
        if self.options.schema is not None:
            return replace(report, changed=changed)
        if changed.spared:
            # What was sent meanwhile lies beyond what was read.
            scope = find_scope(self.settings, self.connection, self.feed, scope.selection)
        checked = self._report(replace(scope, orphans=report.orphans), self._compare(scope), mark=True)
        return replace(checked, mode=Mode.REBUILD, changed=changed)

    def _rebuild(self, scope: Scope, manifest: DeliveryManifest) -> Reloaded:
        with error_reporter(self.settings.kafka, self.feed) as reporter:
            registry = registry_client(self.settings.registry)
            only = replace(scope.selection, delivery_id=manifest.delivery_id)
            with closing(self._read(scope.spans, only)) as batches:
                return rebuild_delivery(
                    self.connection,
                    self.feed,
                    manifest,
                    batches,
                    lambda schema_id: writer_schema(registry, schema_id),
                    on_bad_batch=reporter.refuse,
                    schema=self.options.schema,
                    on_step=self.on_step,
                )

    def _replace(self, scope: Scope, wrong: list[Seen]) -> Reloaded:
        ids = {one.correlation_id for one in wrong}
        places = [place for one in wrong for place in one.places]
        spans = tuple(
            PartitionSpan(p, min(o for q, o in places if q == p), max(o for q, o in places if q == p) + 1)
            for p in sorted({p for p, _ in places})
        )
        with error_reporter(self.settings.kafka, self.feed) as reporter:
            registry = registry_client(self.settings.registry)
            needed = LoadRange(self.feed.name, self.feed.topic.name, spans)
            with closing(self._read(needed, scope.selection)) as batches:
                return replace_batches(
                    self.connection,
                    self.feed,
                    (batch for batch in batches if batch.headers.correlation_id in ids),
                    lambda schema_id: writer_schema(registry, schema_id),
                    on_bad_batch=reporter.refuse,
                    on_step=self.on_step,
                )

    def _compare(self, scope: Scope) -> Comparison:
        with closing(self._read(scope.spans, scope.selection)) as batches:
            seen = seen_of(batches)
        return compare(Session(self.connection, feed=self.feed.name), self.feed, seen)

    def _read(self, spans: LoadRange, selection: Selection) -> Generator[ConsumedBatch]:
        # A message without headers belongs to no delivery: the live load has put it on the error topic.
        read = read_range(self.settings.kafka, spans, on_corrupt=lambda *_: None, group_id=REPLAY_GROUP)
        with closing(read) as batches:
            for batch in batches:
                self.progress(1)
                if selection.takes(batch):
                    yield batch

    def _report(self, scope: Scope, found: Comparison, *, mark: bool = False) -> ReplayReport:
        names = {one.delivery_id for one in found.seen.values()} | scope.manifests.keys()
        return ReplayReport(
            self.feed.name,
            self.options.mode,
            self.options.dry_run,
            scope.spans,
            sum(len(one.places) for one in found.seen.values()),
            tuple(self._finding(scope, found, name, mark=mark) for name in sorted(names - scope.orphans.keys())),
            orphans=scope.orphans,
        )

    def _finding(self, scope: Scope, found: Comparison, delivery: str, *, mark: bool) -> DeliveryFinding:
        seen = [one for one in found.seen.values() if one.delivery_id == delivery]
        manifest = scope.manifests.get(delivery)
        failed: tuple[str, ...] = ()
        if manifest is not None:
            failed = tuple(str(failure) for failure in self._checked(manifest, mark=mark).failures)
        return DeliveryFinding(
            delivery,
            seen[0].business_date if seen else manifest.business_date if manifest else None,
            len(seen),
            sum(one.records for one in seen),
            dict(Counter(found.states[one.correlation_id].value for one in seen)),
            len(found.foreign.get(delivery, frozenset()) - scope.gone) if manifest is not None else 0,
            failed,
            manifest is not None,
        )

    def _checked(self, manifest: DeliveryManifest, *, mark: bool) -> ValidationReport:
        held = validate_delivery if mark else check_delivery
        return held(self.connection, self.feed, manifest)


def _add(total: Reloaded, one: Reloaded) -> None:
    for name in one.__slots__:
        setattr(total, name, getattr(total, name) + getattr(one, name))
