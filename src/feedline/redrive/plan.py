"""What a redrive is going to send: every correction found on the error topic, still open, and good by the schema.

All of it is checked before any of it is sent. The content itself is read twice, to be checked and to be sent, so that
memory holds the errors' headers and one record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from snowflake.connector import SnowflakeConnection

from feedline.batch.identity import Delivery
from feedline.catalog import Catalog, Feed
from feedline.errors import (
    CorruptBatchError,
    FeedlineError,
    RecordTooLargeError,
    SchemaMismatchError,
    UnknownFeedError,
)
from feedline.redrive.business_keys import Key, key_of, keys_in_table
from feedline.redrive.correction_file import read_corrections
from feedline.redrive.mend import Content, Mender
from feedline.redrive.states import ErrorState, ErrorStates
from feedline.redrive.stored_error import Selection, StoredError, read_errors
from feedline.settings import Settings

SHOWN = 5

# The mender of a feed, by its name.
Menders = Callable[[str], Mender]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A correction, or an error as it is, that would be refused again. `line` is that of the file of corrections."""

    error_id: str
    reason: str
    line: int | None = None
    field_path: str | None = None

    def __str__(self) -> str:
        line = f"line {self.line}: " if self.line is not None else ""
        place = f"{self.field_path}: " if self.field_path else ""
        return f"{line}{place}{self.reason} ({self.error_id})"


@dataclass(frozen=True, slots=True)
class RedrivePlan:
    """errors: what is to be sent, by error id, without their bytes; redriven: what is in the tables already;
    dismissed: how many were passed over as such; refused: what stays open, of errors that are sent as they are.
    corrections: the file, or None to send each error's own bytes."""

    errors: dict[str, StoredError] = field(default_factory=dict)
    redriven: dict[str, StoredError] = field(default_factory=dict)
    dismissed: int = 0
    refused: tuple[Refusal, ...] = ()
    corrections: Path | None = None

    @property
    def records(self) -> int:
        return sum(error.records for error in self.errors.values())

    def deliveries(self) -> list[Delivery]:
        """The deliveries whose books this touches, those of what is redriven already among them."""
        touched = [*self.errors.values(), *self.redriven.values()]
        return list({error.delivery: None for error in touched if error.delivery is not None})


def plan_corrections(
    settings: Settings, connection: SnowflakeConnection, catalog: Catalog, path: Path, menders: Menders
) -> RedrivePlan:
    """The plan of a file of corrections.

    Raises SchemaMismatchError, naming file, line and field, when any of them cannot be used or would be refused again,
    with nothing sent; ConfigurationError when the file cannot be read; UnknownFeedError, BrokerUnavailableError,
    WarehouseUnavailableError.
    """
    lines: dict[str, int] = {}
    for correction in read_corrections(path):
        first = lines.setdefault(correction.error_id, correction.line)
        if first != correction.line:
            raise SchemaMismatchError(
                f"the error is corrected in line {first} already: leave one of the two",
                file=str(path),
                line=correction.line,
                correlation_id=correction.error_id,
            )
    plan = _sorted_by_state(settings, connection, catalog, Selection(error_ids=frozenset(lines)), keep_dismissed=True)
    refused = [
        Refusal(key, "there is no such error on the error topics, or no more: have the file sent again", line)
        for key, line in lines.items()
        if key not in plan.errors and key not in plan.redriven
    ]
    contents = ((plan.errors.get(one.error_id), one.records, one.line) for one in read_corrections(path))
    found = ((error, content, line) for error, content, line in contents if error is not None)
    refused += _check(connection, catalog, found, menders)
    plan, refused = _settled_meanwhile(connection, plan, refused)
    if refused:
        raise _refused(sorted(refused, key=lambda one: one.line or 0), len(lines), path)
    return replace(plan, corrections=path)


def plan_as_they_are(
    settings: Settings, connection: SnowflakeConnection, catalog: Catalog, selection: Selection, menders: Menders
) -> RedrivePlan:
    """The plan to send open errors with their own bytes, once what was wrong with the schema or the catalogue is put
    right: those that fit now are in it, those that do not are in its `refused`. Dismissed ones are passed over.

    Raises UnknownFeedError, BrokerUnavailableError, RegistryUnavailableError, WarehouseUnavailableError.
    """
    plan = _sorted_by_state(settings, connection, catalog, selection, keep_dismissed=False)
    if not plan.errors:
        return plan
    stored = errors_of(settings, catalog, replace(selection, error_ids=frozenset(plan.errors)))
    plan, refused = _settled_meanwhile(
        connection, plan, _check(connection, catalog, ((error, None, None) for error in stored), menders)
    )
    out = {one.error_id for one in refused}
    kept = {key: error for key, error in plan.errors.items() if key not in out}
    return replace(plan, errors=kept, refused=tuple(refused))


def planned_contents(settings: Settings, catalog: Catalog, plan: RedrivePlan) -> Iterator[tuple[StoredError, Content]]:
    """What is to be sent, with the content of each, read anew."""
    if plan.corrections is None:
        if plan.errors:
            # On whichever topic they lie: what names a feed of another one is an error of the one it was sent to.
            for error in errors_of(settings, catalog, Selection(error_ids=frozenset(plan.errors))):
                yield error, None
        return
    for correction in read_corrections(plan.corrections):
        if correction.error_id in plan.errors:
            yield plan.errors[correction.error_id], correction.records


def errors_of(settings: Settings, catalog: Catalog, selection: Selection) -> Iterator[StoredError]:
    """The errors that are meant, of every error topic of the catalogue: an error may name a feed of another one.

    Raises UnknownFeedError when the selection names one that there is not.
    """
    for name in selection.feeds or ():
        catalog.feed(name)
    for topic in dict.fromkeys(feed.topic.error_topic for feed in catalog.feeds.values()):
        yield from read_errors(settings.kafka, topic, selection)


def _sorted_by_state(
    settings: Settings, connection: SnowflakeConnection, catalog: Catalog, selection: Selection, *, keep_dismissed: bool
) -> RedrivePlan:
    states = ErrorStates(connection)
    errors: dict[str, StoredError] = {}
    redriven: dict[str, StoredError] = {}
    dismissed = 0
    for error in errors_of(settings, catalog, selection):
        state = states.state(error)
        if state is ErrorState.REDRIVEN:
            # Of a feed that the catalogue does not have there are no books to look at.
            if error.feed in catalog.feeds:
                redriven[error.error_id] = replace(error, value=b"")
        elif state is ErrorState.DISMISSED and not keep_dismissed:
            dismissed += 1
        else:
            errors[error.error_id] = replace(error, value=b"")
    return RedrivePlan(errors, redriven, dismissed)


def _check(
    connection: SnowflakeConnection,
    catalog: Catalog,
    items: Iterable[tuple[StoredError, Content, int | None]],
    menders: Menders,
) -> list[Refusal]:
    refused = []
    keyed: dict[Delivery, dict[Key, list[tuple[str, int | None]]]] = {}
    for error, content, line in items:
        try:
            menders(error.feed).mend(error, content)
        except (SchemaMismatchError, RecordTooLargeError, CorruptBatchError, UnknownFeedError) as problem:
            refused.append(Refusal(error.error_id, problem.reason, line, problem.where.field))
            continue
        if error.is_line and error.delivery is not None:
            key = key_of(catalog.feed(error.feed), error.value if content is None else content[0])
            if key is not None:
                keyed.setdefault(error.delivery, {}).setdefault(key, []).append((error.error_id, line))
    for delivery, keys in keyed.items():
        refused += _repeated(connection, catalog.feed(delivery.feed), delivery, keys)
    return refused


def _repeated(
    connection: SnowflakeConnection, feed: Feed, delivery: Delivery, keys: Mapping[Key, list[tuple[str, int | None]]]
) -> Iterator[Refusal]:
    """All but the first record of each key, and the first too when the table has one."""
    there = keys_in_table(connection, feed, delivery.delivery_id, list(keys))
    for key, records in keys.items():
        for error_id, line in records if key in there else records[1:]:
            reason = f"the delivery has a record with the business key {', '.join(key)} already"
            yield Refusal(error_id, reason, line, ", ".join(feed.business_keys))


def _settled_meanwhile(
    connection: SnowflakeConnection, plan: RedrivePlan, refused: list[Refusal]
) -> tuple[RedrivePlan, list[Refusal]]:
    """Without the refusals of errors that another redrive has loaded since their states were read: the record that has
    their key is their own."""
    if not refused:
        return plan, refused
    states = ErrorStates(connection)
    named = (plan.errors.get(one.error_id) for one in refused)
    done = {error.error_id: error for error in named if error and states.state(error) is ErrorState.REDRIVEN}
    errors = {key: error for key, error in plan.errors.items() if key not in done}
    left = [one for one in refused if one.error_id not in done]
    return replace(plan, errors=errors, redriven=plan.redriven | done), left


def _refused(refused: list[Refusal], corrections: int, path: Path) -> FeedlineError:
    told = "; ".join(str(one) for one in refused[:SHOWN])
    more = f"; and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
    first = refused[0]
    return SchemaMismatchError(
        f"{len(refused)} of {corrections} corrections would be refused, and nothing was sent: {told}{more}",
        file=str(path),
        line=first.line,
        field=first.field_path,
        correlation_id=first.error_id,
    )
