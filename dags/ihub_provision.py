"""### iHUB provisioning

Brings the cluster, the registry and the warehouse to what the feed catalogue declares: topics with their error topics,
registered schemas, tables and views. Trigger it before the first cycle and whenever the catalogue has changed. It
creates and grows, and never drops; running it again changes nothing.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, task

from feedline_airflow import provision_steps as steps
from feedline_airflow.dag_parts import task_defaults

with DAG(
    dag_id="ihub_provision",
    dag_display_name="iHUB provisioning",
    description="Brings topics, registered schemas and tables to what the feed catalogue declares.",
    doc_md=__doc__,
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=task_defaults(timedelta(minutes=30)),
    tags=["ihub", "provisioning"],
):
    task(steps.create_topics, task_id="create_topics")()
    task(steps.register_schemas, task_id="register_schemas")()
    task(steps.create_tables, task_id="create_tables")()
