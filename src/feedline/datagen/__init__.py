"""Test data: days of custody feeds that look and add up like a custodian's, from a seed."""

from feedline.datagen.day import DaySummary, FeedSummary, generate_day
from feedline.datagen.intraday import IntradayShare

__all__ = ["DaySummary", "FeedSummary", "IntradayShare", "generate_day"]
