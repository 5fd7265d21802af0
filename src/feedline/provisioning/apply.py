"""A plan made true: exactly what it showed, step after step, each on the journal before and after."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from feedline.errors import ConfigurationError, LostRaceError
from feedline.provisioning.journal import Journal, open_journal
from feedline.provisioning.plan import Allow, Change, Plan

# As many changes of one kind are asked for at once; after a kill at most so many are looked at again.
STEP = 25


class System(Protocol):
    """Where changes are made: an installation, or a model of one."""

    def plan(self) -> Plan:
        """What has to be done now."""

    def perform(self, changes: Sequence[Change]) -> None:
        """Makes changes of one part and action; making one that is made already changes nothing."""


# Told (done, of so many, the change) after each step.
Progress = Callable[[int, int, Change], None]


def apply(
    shown: Plan,
    system: System,
    journal: Path,
    *,
    allow: Collection[Allow] = (),
    progress: Progress = lambda _done, _total, _change: None,
    step: int = STEP,
) -> list[Change]:
    """Makes the changes of the plan, and returns those made; an apply that was killed is gone on with.

    Raises ConfigurationError, before anything is changed, for limits, for what needs a word that was not said and for
    what cannot be made at all; LostRaceError when what is there is no longer what the plan was made from.
    """
    with open_journal(journal) as book:
        _refuse(shown, allow)
        rest = _rest(shown, system.plan(), book, allow)
        _refuse(rest, allow)
        book.begin(rest)
        done = 0
        for changes in _steps(rest.changes, step):
            book.write({"begin": [one.place for one in changes]})
            system.perform(changes)
            done += len(changes)
            book.write({"done": [one.place for one in changes]})
            progress(done, len(rest.changes), changes[-1])
        book.write({"end": True})
        return list(rest.changes)


def _refuse(plan: Plan, allow: Collection[Allow]) -> None:
    if plan.problems:
        raise ConfigurationError(f"nothing was changed: {'; '.join(plan.problems)}")
    held = plan.held(allow)
    if held:
        reasons = [f"{one.action} {one.target}: {one.blocked or f'say --allow {one.needs}'}" for one in held]
        raise ConfigurationError(f"nothing was changed, as this cannot be undone or made here: {'; '.join(reasons)}")


def _rest(shown: Plan, now: Plan, book: Journal, allow: Collection[Allow]) -> Plan:
    """What is to be made: that which was shown; what was left out on purpose stays out."""
    rest = now.without([one for one in now.held(allow) if one not in shown.changes])
    left = book.unfinished
    # Replicas that a killed apply has begun to move go on by themselves, and may be there by now.
    went_on = left is not None and all(one in shown.changes or one.action == "release" for one in rest.changes)
    if rest.fingerprint != shown.fingerprint and not went_on:
        raise LostRaceError("what is there has changed since the plan was made: nothing was changed, plan again")
    if left is not None and not {one.place for one in shown.changes} <= left.places:
        raise LostRaceError(
            f"an apply of plan {left.fingerprint} was killed, and other changes are due now than were left: look at "
            "the plan, then name another journal"
        )
    return rest


def _steps(changes: Sequence[Change], size: int) -> Iterator[list[Change]]:
    step: list[Change] = []
    for change in changes:
        if step and (len(step) == size or (step[0].part, step[0].action) != (change.part, change.action)):
            yield step
            step = []
        step.append(change)
    if step:
        yield step
