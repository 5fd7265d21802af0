"""Made-up orders are sent at their pace."""

from __future__ import annotations

import time

from feedline.orders.demo.flow import Pace


def test_a_pace_gives_as_many_moments_as_rate_and_time_make_and_none_early():
    pace, began, moments = Pace(200.0, 0.1), time.monotonic(), []
    while pace.wait():
        moments.append(time.monotonic() - began)
    assert len(moments) == 20
    assert all(at >= number / 200 - 0.001 for number, at in enumerate(moments))
