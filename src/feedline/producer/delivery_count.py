"""What a delivery's files held, as they are read, and whether that is what their control file says."""

from __future__ import annotations

from dataclasses import dataclass, field

from feedline.batch.control_file import ControlFile, ControlledFile
from feedline.batch.control_totals import BatchTotals, RunningTotals, add_totals, differences, zero_totals
from feedline.batch.manifest import FileCount, FundCount, Totals
from feedline.catalog import Feed
from feedline.errors import ControlMismatchError, ErrorLimitExceededError


@dataclass(slots=True)
class FileTally:
    """What one file has held so far. `records` are the good ones."""

    said: ControlledFile
    records: int = 0
    errors: int = 0
    batches: int = 0
    text_bytes: int = 0
    totals: Totals = field(default_factory=dict)


class DeliveryCount:
    """Adds up a delivery; used by one thread."""

    def __init__(self, feed: Feed, control: ControlFile, delivery_id: str) -> None:
        self._feed = feed
        self._control = control
        self._delivery_id = delivery_id
        self._running = RunningTotals()
        self.files: list[FileTally] = []

    def begin(self, said: ControlledFile) -> FileTally:
        tally = FileTally(said, totals=zero_totals(self._feed.control_totals))
        self.files.append(tally)
        return tally

    def add(self, tally: FileTally, totals: BatchTotals) -> None:
        tally.records += totals.records
        tally.totals = add_totals((tally.totals, totals.totals))
        self._running.add(totals)

    @property
    def records(self) -> int:
        return sum(tally.records for tally in self.files)

    @property
    def errors(self) -> int:
        return sum(tally.errors for tally in self.files)

    @property
    def text_bytes(self) -> int:
        return sum(tally.text_bytes for tally in self.files)

    @property
    def totals(self) -> Totals:
        return add_totals((zero_totals(self._feed.control_totals), *(tally.totals for tally in self.files)))

    def file_counts(self) -> tuple[FileCount, ...]:
        return tuple(FileCount(t.said.name, t.said.sha256, t.records, t.errors, t.totals) for t in self.files)

    def funds(self) -> tuple[FundCount, ...]:
        return self._running.funds()

    def check_errors(self, *, at_end: bool = False) -> None:
        """Raises ErrorLimitExceededError as soon as the whole delivery cannot stay within its limit.

        Before the end the ratio is taken of the records that the control file promises: a file whose first lines are
        bad may still be good enough.
        """
        bad, read = self.errors, self.records + self.errors
        if self._feed.errors.exceeded(bad, read if at_end else max(read, self._control.records)):
            limit = self._feed.errors
            raise ErrorLimitExceededError(
                f"{bad} of {read} records read are bad, and the feed allows {limit.max_count} or "
                f"{limit.max_ratio:.2%}, whichever is more: each is on {self._feed.topic.error_topic} with its reason; "
                "have the files corrected and sent again",
                feed=self._feed.name,
                delivery_id=self._delivery_id,
                file=self.files[-1].said.name if self.files else None,
            )

    def check_control(self) -> None:
        """Raises ControlMismatchError when counts, or totals of a file without bad records, are not those said."""
        for tally in self.files:
            read = tally.records + tally.errors
            if read != tally.said.records:
                raise self._mismatch(tally, f"{read} records were read, and the control file says {tally.said.records}")
            said = {path: tally.said.control_totals[path] for path in tally.totals if path in tally.said.control_totals}
            wrong = differences(said, tally.totals)
            if wrong and not tally.errors:
                raise self._mismatch(tally, f"the records total {', '.join(wrong)} of the control file")

    def _mismatch(self, tally: FileTally, reason: str) -> ControlMismatchError:
        return ControlMismatchError(
            f"{reason}: have the delivery sent again",
            feed=self._feed.name,
            delivery_id=self._delivery_id,
            file=tally.said.name,
        )
