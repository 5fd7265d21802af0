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
| `tell_open` | fails when errors that were to be sent as they are still do not fit, and names them |

Running it again, clearing a task, or two runs at once change nothing more.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, TriggerRule, task

from feedline_airflow import redrive_steps as steps
from feedline_airflow.dag_parts import task_defaults
from feedline_airflow.form_fields import chosen_feeds, optional_text

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
    "feeds": chosen_feeds("Of errors that are sent as they are: only those of these feeds."),
    "business_date": optional_text(
        "Business date", "Of errors that are sent as they are: only those of this date.", format="date"
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
    default_args=task_defaults(timedelta(hours=1)),
    tags=["ihub", "errors", "feeds"],
):
    checked = task(steps.check, task_id="check")()
    sent = task(steps.send, task_id="send")()
    settled = task(
        steps.settle, task_id="settle", map_index_template="{{ task.op_kwargs['sent']['deliveryId'] }}"
    ).expand(sent=sent)
    # When none of the errors fits there is nothing to settle, and most to tell.
    told = task(steps.tell_open, task_id="tell_open", trigger_rule=TriggerRule.NONE_FAILED)()
    checked >> sent
    settled >> told
