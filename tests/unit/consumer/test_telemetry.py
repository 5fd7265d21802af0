"""Whatever keeps a consumer from getting on is said by `/health`: silence is never taken for health."""

from __future__ import annotations

import pytest

from feedline.consumer.pipeline_status import PartitionStatus, PipelineStatus
from feedline.consumer.telemetry import Watched, problems

LIMIT_S = 60.0


def partition(**known):
    return PartitionStatus(
        **{
            "topic": "T",
            "partition": 3,
            "next_offset": 5,
            "committed": 5,
            "end": 9,
            "in_flight": 0,
            "backing_off": False,
            "stalled_s": 0.0,
            **known,
        }
    )


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"partitions": (partition(stalled_s=61.0),)}, "has stood at offset 5 for 61 s"),
        ({"unplaced_s": 61.0}, "it cannot be found out where they begin"),
        ({"ends_age_s": 61.0}, "has not said for 61 s where partitions end"),
        ({"taken_at": -1_000.0}, "the polling thread has said nothing"),
    ],
)
def test_what_keeps_it_from_getting_on_is_said(known, said):
    status = PipelineStatus(**known)
    (found,) = problems({"holdings": Watched(lambda: status, dict, LIMIT_S)})
    assert found.startswith("holdings: ")
    assert said in found


def test_lag_that_is_being_worked_off_is_no_problem():
    status = PipelineStatus(partitions=(partition(stalled_s=59.0),), unplaced_s=59.0, ends_age_s=59.0)
    assert problems({"holdings": Watched(lambda: status, dict, LIMIT_S)}) == []
