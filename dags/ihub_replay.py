"""### iHUB replay

Brings the tables back to what lies on the topics. **Trigger** opens a form: what to look at, and what to do.

| Mode | What it does |
|---|---|
| `verify` | holds every message selected against tables, ledger and manifest; changes nothing, fails when they differ |
| `repair` | loads what is missing or wrong, nothing twice |
| `rebuild` | deletes and loads whole deliveries anew in one transaction each, or into a schema beside the live one |

Select by business date, delivery, correlation id, offsets or point in time; what is given has to hold all together. A
dry run, which the form begins with, tells in the log what would be touched. The live loads go on meanwhile: their
checkpoints and their group's offsets are not moved. What is older than the topic's retention is produced again from
the file archive when **From archive** is set.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, task

from feedline_airflow import replay_steps as steps
from feedline_airflow.dag_parts import task_defaults
from feedline_airflow.form_fields import chosen_feeds, optional_text

PARAMS = {
    "mode": Param(
        default="verify",
        type="string",
        enum=["verify", "repair", "rebuild"],
        title="Mode",
        description="verify changes nothing; repair loads what is missing; rebuild deletes and loads deliveries anew.",
    ),
    "dry_run": Param(
        default=True,
        type="boolean",
        title="Dry run",
        description="Tell in the log what would be touched (rows, messages, partitions, offsets), and change nothing.",
    ),
    "feeds": chosen_feeds("The feeds to look at. A delivery's id names its feed by itself."),
    "business_date": optional_text("Business date", "All deliveries of this date.", format="date"),
    "delivery_id": optional_text("Delivery", "One delivery, for example positions-20261120-EOD-0a1b2c3d4e5f."),
    "correlation_id": optional_text("Correlation id", "One micro-batch."),
    "offsets": Param(
        default=[],
        type=["null", "array"],
        items={"type": "string", "pattern": r"^\d+:\d+-\d+$"},
        title="Offsets",
        description="Of one feed's topic, one range a line: PARTITION:FIRST-LAST, for example 3:100-199.",
    ),
    "since": optional_text("Since", "Messages from this point in time on.", format="date-time"),
    "until": optional_text("Until", "Messages before this point in time.", format="date-time"),
    "schema": optional_text(
        "Schema", "rebuild: into tables of this schema, for example IHUB_REBUILD. Empty: the live tables."
    ),
    "from_archive": Param(
        default=False,
        type="boolean",
        title="From archive",
        description="Produce the delivery or the date again from the file archive first: for what has left the topic.",
    ),
    "drop_incomplete": Param(
        default=False,
        type="boolean",
        title="Drop incomplete",
        description="rebuild: take out the rows of a delivery that was never finished.",
    ),
}

with DAG(
    dag_id="ihub_replay",
    dag_display_name="iHUB replay",
    description="Holds topics against tables, puts back what is missing, loads deliveries anew.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=2,
    params=PARAMS,
    default_args=task_defaults(timedelta(hours=2)),
    tags=["ihub", "replay", "feeds"],
):
    chosen = task(steps.choose, task_id="choose")()
    task(
        steps.replay_feed,
        task_id="replay",
        multiple_outputs=False,
        map_index_template="{{ task.op_kwargs['feed'] }}",
    ).expand(feed=chosen)
