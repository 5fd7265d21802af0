"""The provisioning Dags: what runs after what, and the words of the form."""

from __future__ import annotations


def test_rules_come_before_topics_topics_before_schemas_schemas_before_tables(dags):
    order = [task.task_id for task in dags["ihub_provision"].topological_sort()]
    assert order == ["create_topics", "register_schemas", "create_tables"]
    assert dags["ihub_provision"].task_dict["create_tables"].upstream_task_ids == {"register_schemas"}


def test_the_form_offers_the_words_there_are_and_says_none_by_itself(dags):
    from feedline.provisioning.plan import Allow

    field = dags["ihub_provision"].params.get_param("allow")
    assert set(field.schema["items"]["enum"]) == set(Allow)
    assert field.value == []


def test_every_part_is_provisioned_by_one_of_the_steps(monkeypatch):
    from feedline.provisioning.state import Part
    from feedline_airflow import provision_steps as steps

    asked = []
    monkeypatch.setattr(steps, "_apply", lambda _kind, *parts: asked.extend(parts))
    for step in (steps.create_topics, steps.register_schemas, steps.create_tables):
        step()
    assert asked == list(Part)


def test_drift_is_looked_for_every_hour_one_look_at_a_time(dags):
    dag = dags["ihub_drift"]
    assert dag.max_active_runs == 1
    assert dag.timetable.expression == "15 * * * *"
