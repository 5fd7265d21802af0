"""What a pass of the day does with each of the small deliveries that have landed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from feedline import cycle_intraday
from feedline.catalog import load_catalog
from feedline.errors import (
    BrokerUnavailableError,
    ErrorLimitExceededError,
    RecordTooLargeError,
    SchemaMismatchError,
    SourceChangedError,
)
from feedline.producer.intraday_files import LandedDelivery
from feedline.settings import Settings

FEED = load_catalog().feed("net_asset_values")


@pytest.fixture
def landed(tmp_path):
    """Two deliveries, as files would make them."""

    def delivery(name):
        control = SimpleNamespace(delivery=SimpleNamespace(delivery_id=name))
        return LandedDelivery(tmp_path / name, name, SimpleNamespace(control=control))

    return [delivery("first"), delivery("second")]


def produce(monkeypatch, landed, error):
    """Produces them, the first of which raises."""

    def produce_source(_settings, _feed, source, **_):
        name = source.control.delivery.delivery_id
        if name == "first":
            raise error
        return name

    monkeypatch.setattr(cycle_intraday, "produce_source", produce_source)
    return cycle_intraday.produce_landed(Settings({}, {}, {}, Path()), FEED, landed, {})


@pytest.mark.parametrize(
    "error", [ErrorLimitExceededError, RecordTooLargeError, SchemaMismatchError, SourceChangedError]
)
def test_a_delivery_whose_content_is_refused_holds_up_no_other(monkeypatch, landed, error):
    produced, refused = produce(monkeypatch, landed, error("why", feed=FEED.name))
    assert (produced, [reason[:3] for reason in refused]) == (("second",), ["why"])


def test_a_broker_that_is_away_is_no_delivery_s_fault(monkeypatch, landed):
    with pytest.raises(BrokerUnavailableError):
        produce(monkeypatch, landed, BrokerUnavailableError("away"))
