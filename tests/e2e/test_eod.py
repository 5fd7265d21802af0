"""A small day through Airflow, Kafka and the warehouse stand-in, then again."""

from __future__ import annotations

from feedline.catalog import load_catalog

FEEDS = tuple(load_catalog().feeds)


def asset_events(airflow, business_date):
    """Extras of the events of a business date, by the asset's address."""
    events = airflow.call("GET", "/api/v2/assets/events?limit=1000")["asset_events"]
    # The messages that wake `ihub_intraday` are events as well, of no date.
    of_date = [event for event in events if event["extra"].get("business_date") == str(business_date)]
    return {event["uri"]: event["extra"] for event in of_date}


def test_provisioning_again_changes_nothing(stack, day):
    run = stack.airflow.run("ihub_provision")
    for task, kind in (("create_topics", "topic"), ("create_tables", "table")):
        assert f"Every {kind} is as declared" in stack.airflow.log("ihub_provision", run, task)


def test_every_source_record_is_in_its_table(day, source_records, first_run, row_counts):
    counts = row_counts(day)
    assert {feed: counts[feed.upper()] for feed in FEEDS} == source_records


def test_every_feed_s_asset_says_which_delivery_is_complete(stack, day, source_records, first_run):
    events = asset_events(stack.airflow, day)
    for feed in FEEDS:
        extra = events[f"feedline://ihub/{feed}"]
        assert extra["delivery_id"].startswith(f"{feed}-{day:%Y%m%d}-EOD-")
        assert (extra["source_records"], extra["records"]) == (source_records[feed], source_records[feed])


def test_loads_go_by_the_name_of_their_feed_and_part(stack, first_run):
    names = {
        task["rendered_map_index"]
        for task in stack.airflow.instances("ihub_eod", first_run)
        if task["task_id"] == "positions.load"
    }
    assert names == {f"positions {number}/{len(names)}" for number in range(1, len(names) + 1)}


def test_only_ranges_counts_and_ids_pass_between_the_tasks(stack, first_run):
    entries = stack.airflow.call(
        "GET", f"/api/v2/dags/ihub_eod/dagRuns/{first_run}/taskInstances/~/xcomEntries?limit=1000"
    )["xcom_entries"]
    assert {entry["key"] for entry in entries} <= {"return_value", "skipmixin_key"}
    for entry in entries:
        task = entry["task_id"]
        path = f"/api/v2/dags/ihub_eod/dagRuns/{first_run}/taskInstances/{task}/xcomEntries/{entry['key']}"
        value = stack.airflow.call("GET", f"{path}?map_index={entry['map_index']}&stringify=true")["value"]
        assert len(value) < 8_000, task


def test_chosen_feeds_of_the_same_date_again_change_no_row_and_say_so(stack, day, first_run, row_counts):
    before = row_counts()
    chosen = ["positions", "snapshots"]
    again = stack.airflow.run("ihub_eod", business_date=day.isoformat(), feeds=chosen)
    assert row_counts() == before
    for feed in chosen:
        assert "is loaded already" in stack.airflow.log("ihub_eod", again, f"{feed}.plan_ranges")
    done = {t["task_id"].split(".")[0] for t in stack.airflow.instances("ihub_eod", again) if t["state"] == "success"}
    assert done == {"choose_feeds", *chosen}


def test_clearing_a_step_of_a_finished_feed_changes_no_row(stack, day, first_run, row_counts):
    before = row_counts()
    stack.airflow.call(
        "POST",
        "/api/v2/dags/ihub_eod/clearTaskInstances",
        {
            "dry_run": False,
            "dag_run_id": first_run,
            "task_ids": ["accounts.produce"],
            "include_downstream": True,
            "only_failed": False,
        },
    )
    assert stack.airflow.finish("ihub_eod", first_run) == "success"
    assert row_counts() == before
