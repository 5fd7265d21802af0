"""The engine writes times as FIX wants them, whatever the moment."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from feedline.orders.engine import book, ledger
from feedline.orders.fix.reports import moment


@pytest.mark.parametrize("microsecond", [0, 1, 500_000, 999_999])
def test_a_whole_second_is_a_time_as_any_other(microsecond, monkeypatch):
    at = datetime(2026, 11, 26, 9, 13, 46, microsecond, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, _zone):
            return at

    monkeypatch.setattr(book, "datetime", Clock)
    assert moment(ledger.fix_time()) == at.replace(microsecond=microsecond // 1000 * 1000)
