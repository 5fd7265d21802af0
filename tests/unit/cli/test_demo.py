"""The demo's dates and figures."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from feedline.cli.demo import latest_weekday
from feedline.cli.run_progress import by_group, feed_seconds
from feedline.local.airflow_api import TaskState


@pytest.mark.parametrize(
    ("now", "day"),
    [
        (datetime(2026, 11, 24, 15, tzinfo=UTC), date(2026, 11, 23)),
        (datetime(2026, 11, 23, 15, tzinfo=UTC), date(2026, 11, 20)),
        (datetime(2026, 11, 22, 15, tzinfo=UTC), date(2026, 11, 20)),
        # Still Monday in New York.
        (datetime(2026, 11, 24, 3, tzinfo=UTC), date(2026, 11, 20)),
    ],
)
def test_the_default_date_is_the_last_weekday_that_is_over_in_new_york(now, day):
    assert latest_weekday(now) == day


def task(task_id, started=None, ended=None, state="success", index=-1):
    moments = [None if at is None else datetime(2026, 11, 23, 12, 0, at, tzinfo=UTC) for at in (started, ended)]
    return TaskState(task_id, index, state, *moments, tries=1)


def test_a_feed_takes_from_its_first_start_to_its_last_end():
    groups = by_group([task("a.load", 5, 9, index=0), task("a.load", 6, 8, index=1), task("a.wait", 1, 3), task("x")])
    assert feed_seconds(groups["a"]) == 8
    assert feed_seconds(groups[""]) is None


def test_a_feed_with_an_open_task_has_no_duration_yet():
    assert feed_seconds(by_group([task("a.wait", 1, 3), task("a.load", 5, None, "running")])["a"]) is None
