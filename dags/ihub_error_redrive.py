"""### iHUB error redrive

Sends refused records again, once they are corrected, and brings the books of their deliveries into balance.

1. `feedline errors export --business-date … --file corrected.jsonl` writes what is open; correct `record` in each line.
2. Put the file into the folder `corrections` of the landing folder, and trigger this Dag with its name: the first time
   as a dry run, which checks every line and names file, line and field of what still does not fit.
3. Trigger it again without the dry run.

Where not the records were wrong but the schema or the catalogue, choose **As they are** instead of a file.

| Step | What it does |
|---|---|
| `check` | holds every correction against its feed's schema; nothing is sent when one does not fit |
| `send` | sends each under the id of its error, to the same delivery |
| `settle` | loads and validates, one task a delivery: source = loaded + errors |

Running it again, clearing a task, or two runs at once change nothing more.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task

from feedline_airflow import redrive_steps as steps
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

PARAMS = {
    "file": Param(
        default=None,
        type=["null", "string"],
        maxLength=200,
        title="File of corrections",
        description="Its name in the folder `corrections` of the landing folder. It says itself what it corrects.",
    ),
    "as_is": Param(
        default=False,
        type="boolean",
        title="As they are",
        description="Instead of a file: send the open errors of the feeds and the business date below with their own "
        "bytes, by the schema as it is now.",
    ),
    "feeds": Param(
        default=list(FEEDS),
        type="array",
        items={"type": "string", "enum": list(FEEDS)},
        examples=list(FEEDS),
        minItems=1,
        uniqueItems=True,
        title="Feeds",
        description="Of errors that are sent as they are: only those of these feeds.",
    ),
    "business_date": Param(
        default=None,
        type=["null", "string"],
        format="date",
        title="Business date",
        description="Of errors that are sent as they are: only those of this date.",
    ),
    "dry_run": Param(
        default=True,
        type="boolean",
        title="Dry run",
        description="Check everything, tell what would be sent, and change nothing.",
    ),
}

with DAG(
    dag_id="ihub_error_redrive",
    dag_display_name="iHUB error redrive",
    description="Sends corrected records again and brings their deliveries' books into balance.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    # One after the other: what a run sends is in the books before the next one looks for what is open.
    max_active_runs=1,
    params=PARAMS,
    default_args={
        "owner": "ihub-operations",
        "retries": 5,
        "retry_delay": timedelta(seconds=10),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=5),
        "retry_policy": RetryUnlessTerminal(),
        "execution_timeout": timedelta(hours=1),
    },
    tags=["ihub", "errors", "feeds"],
):
    checked = task(steps.check, task_id="check")()
    sent = task(steps.send, task_id="send")()
    checked >> sent
    task(steps.settle, task_id="settle", map_index_template="{{ task.op_kwargs['sent']['deliveryId'] }}").expand(
        sent=sent
    )
