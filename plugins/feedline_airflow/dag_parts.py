"""What the feed Dags have in common: their feeds, and how their tasks are owned, limited and tried again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from feedline_airflow.retry_policy import RetryUnlessTerminal

# The feeds of the catalogue, written out because a Dag file reads nothing when it is parsed;
# tests/unit/dags holds this list against include/feeds.yaml.
FEEDS = (
    "positions",
    "transactions",
    "tax_lots",
    "net_asset_values",
    "ledger_balances",
    "account_dimensions",
    "account_share_classes",
    "fund_instruments",
    "snapshots",
    "accounts",
)


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
