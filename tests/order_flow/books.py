"""Holding the engine's book against the topic: the words are those of the fault tests."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from feedline.orders.engine.book import Arrival, Verdict


@dataclass(frozen=True)
class BookCheck:
    """findings: what must not be, by name; counts: what was seen."""

    findings: Mapping[str, Sequence[str]]
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        return not self.findings

    def __str__(self) -> str:
        told = [f"{name}: {len(what)}, as {', '.join(what[:3])}" for name, what in sorted(self.findings.items())]
        return "; ".join(told) or f"clean {dict(self.counts)}"


def check_book(events: Iterable[tuple[str, int]], book: Sequence[Arrival], reported: Collection[str]) -> BookCheck:
    """events: order and sequence of every event that must be sent; reported: the ClOrdIDs with an execution report.

    - lost write: not booked
    - duplicate: booked twice; unmarked copy: sent again without a mark
    - out of sequence: sent or booked before its forerunner
    - aborted read: booked, and nobody gave it
    - unreported: booked, and no report of it came back
    """
    wanted = [f"{order}-{sequence}" for order, sequence in events]
    booked = Counter(one.cl_ord_id for one in book if one.verdict == Verdict.BOOKED)
    findings: dict[str, list[str]] = defaultdict(list)
    findings["lost write"] = [name for name in wanted if not booked[name]]
    findings["duplicate"] = [name for name, times in booked.items() if times > 1]
    findings["aborted read"] = [name for name in booked if name not in set(wanted)]
    findings["unmarked copy"] = [one.cl_ord_id for one in book if one.verdict == Verdict.UNMARKED_COPY]
    findings["out of sequence"] = [one.cl_ord_id for one in book if one.verdict == Verdict.OUT_OF_SEQUENCE]
    findings["unreported"] = [name for name in wanted if booked[name] and name not in reported]
    last: dict[str, int] = {}
    for one in book:
        if one.verdict == Verdict.BOOKED:
            if one.sequence != last.get(one.order_id, 0) + 1:
                findings["out of sequence"].append(one.cl_ord_id)
            last[one.order_id] = one.sequence
    counts = Counter(one.verdict for one in book)
    counts["marked"] = sum(one.poss_dup or one.poss_resend for one in book)
    return BookCheck({name: found for name, found in findings.items() if found}, counts)
