"""### iHUB provisioning

Brings the cluster, the registry and the warehouse to what is declared (the feed catalogue and `provisioning.yaml`):
users, rules, quotas, topics with their error topics, registered schemas, tables and views. Trigger it before the first
cycle and whenever the declared state has changed. Each task logs its plan and returns what it made; running it again
changes nothing.

What cannot be undone (a shorter retention, a column to drop, a topic with records to delete) is left out and named,
unless *Allow* says its word. `feedline provision plan` shows the same plan without Airflow.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param, chain, task

from feedline_airflow import provision_steps as steps
from feedline_airflow.dag_parts import task_defaults

# `feedline.provisioning.plan.Allow`, written out because a Dag file loads nothing of it; tests/unit/dags compares.
WORDS = ("delete-data", "drop-column", "fewer-replicas", "shorten-retention")

with DAG(
    dag_id="ihub_provision",
    dag_display_name="iHUB provisioning",
    description="Brings cluster, registry and warehouse to what is declared, and changes nothing else.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(timedelta(minutes=30)),
    tags=["ihub", "provisioning"],
    params={
        "allow": Param(
            [],
            type="array",
            title="Allow",
            description="What cannot be undone and may be done in this run.",
            items={"type": "string", "enum": list(WORDS)},
            examples=list(WORDS),
        )
    },
):
    # One after the other: rules before topics, topics before schemas, and one apply at a time.
    chain(
        task(steps.create_topics, task_id="create_topics")(),
        task(steps.register_schemas, task_id="register_schemas")(),
        task(steps.create_tables, task_id="create_tables")(),
    )
