"""What the feed Dags have in common: their feeds, and how their tasks are owned, limited and tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from feedline.catalog_files import feed_topics
from feedline_airflow.retry_policy import RetryUnlessTerminal


def catalogue_feeds() -> tuple[str, ...]:
    """The names of the catalogue's feeds. Called when a Dag file is read: a feed that is added needs no change of it.

    Raises ConfigurationError, which Airflow shows as the file's import error.
    """
    return tuple(feed_topics())


def catalogue_topics() -> dict[str, list[str]]:
    """The feeds of every topic, as `catalogue_feeds`."""
    topics: dict[str, list[str]] = {}
    for feed, topic in feed_topics().items():
        topics.setdefault(topic, []).append(feed)
    return topics


def task_defaults(execution_timeout: timedelta) -> dict[str, Any]:
    """The `default_args` of a feed Dag whose tasks may take so long."""
    return {
        "owner": "ihub-operations",
        # Five retries from 10 s on, doubling: about five minutes in which a broker or the warehouse may come back.
        "retries": 5,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "retry_policy": RetryUnlessTerminal(),
        "execution_timeout": execution_timeout,
    }
