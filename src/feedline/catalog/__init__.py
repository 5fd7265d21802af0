"""The feeds: what they are called, how large they are, how they are batched, what identifies a record."""

from feedline.catalog.feeds import BatchRule, Catalog, ErrorLimit, Feed, Topic, Volume
from feedline.catalog.loading import load_catalog
from feedline.catalog.sla import EXCHANGE_TIMEZONE, ExchangeTime, IntradaySla, Sla, Stage
from feedline.catalog_files import default_catalog_path

__all__ = [
    "EXCHANGE_TIMEZONE",
    "BatchRule",
    "Catalog",
    "ErrorLimit",
    "ExchangeTime",
    "Feed",
    "IntradaySla",
    "Sla",
    "Stage",
    "Topic",
    "Volume",
    "default_catalog_path",
    "load_catalog",
]
