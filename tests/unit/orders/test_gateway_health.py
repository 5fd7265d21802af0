"""A gateway is not well while an event stands unanswered, also when others go on."""

from __future__ import annotations

from feedline.orders.fix.gateway_status import GatewayStatus, PartitionStatus
from feedline.orders.fix.telemetry import Telemetry


def test_a_partition_that_stands_still_while_others_go_on_is_told(monkeypatch):
    now, stands = 1_000.0, 7
    monkeypatch.setattr("feedline.orders.fix.telemetry.time.monotonic", lambda: now)

    def status():
        moving = PartitionStatus(0, int(now), int(now) + 5, 5)
        return GatewayStatus(
            logged_on=True,
            partitions=(moving, PartitionStatus(1, stands, 9, 2), PartitionStatus(2, 3, 3, 0)),
            taken_at=now,
        )

    telemetry = Telemetry(status, stall_s=60, park_s=30)
    assert telemetry.problems() == []
    now = 1_089.0
    assert telemetry.problems() == []
    now = 1_091.0
    assert [one.split(":")[0] for one in telemetry.problems()] == [
        "partition 1 stands at offset 7 for 91 s, with 2 events"
    ]
    stands = 8
    assert telemetry.problems() == []
