"""The registry, the warehouse, the disk and the clock; two at once; a topic that grows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from fault import bugs, drivers
from fault.run import Run
from fault.warehouse_line import Lose, WarehouseLine
from fault.workload import DAY
from feedline.kafka.admin import admin_client, ensure_topics, partition_count


def test_without_the_registry_drivers_are_tried_again_until_it_is_back(the_world):
    with Run(the_world) as run:
        run.workload.land(DAY, 600)
        run.fault("SIGKILL of the registry", pid=the_world.stop_registry())
        run.start(drivers.produce, "producer")
        run.wait_for(lambda: run.retries("producer"), "the producer says that it cannot go on")
        assert set(run.retries("producer")) == {"RegistryUnavailableError"}
        the_world.start_registry()
        run.await_done("producer")
        run.fault("SIGKILL of the registry", pid=the_world.stop_registry())
        run.start(drivers.load, "loader")
        run.wait_for(lambda: run.retries("loader"), "the loader says that it cannot go on")
        assert set(run.retries("loader")) == {"RegistryUnavailableError"}
        the_world.start_registry()
        assert run.finish().clean, str(run.verdict)


@pytest.fixture
def line(the_world):
    line = WarehouseLine(the_world.settings.warehouse["port"])
    yield line
    line.close()


@pytest.mark.parametrize("when", list(Lose))
def test_a_line_to_the_warehouse_that_breaks_at_commits_loads_all_once(the_world, line, when):
    with Run(the_world) as run:
        run.workload.land(DAY, 900)
        warehouse = {**run.settings.warehouse, "port": line.port, "network_timeout": 3}
        line.lose("COMMIT", when)
        run.start(drivers.produce, "producer")
        run.await_done("producer")
        run.start(drivers.load, "loader", settings=replace(run.settings, warehouse=warehouse), chunk_batches=30)
        run.wait_for(lambda: line.lost["COMMIT", when] > 0, "a COMMIT is lost")
        run.wait(6)
        run.fault(f"line to the warehouse cut at COMMIT, {when}", lost=line.lost["COMMIT", when])
        line.heal()
        assert run.finish().clean, str(run.verdict)


def test_a_line_to_the_warehouse_that_breaks_anywhere_loads_all_once(the_world, line, seed):
    with Run(the_world, seed=seed) as run:
        run.workload.land(DAY, 1_500)
        warehouse = {**run.settings.warehouse, "port": line.port, "network_timeout": 3}
        run.start(drivers.produce, "producer", pace_s=0.3)
        run.start(drivers.load, "loader", settings=replace(run.settings, warehouse=warehouse), chunk_batches=10)
        for _ in range(3):
            run.wait(run.random.uniform(1, 3))
            line.lose("", run.random.choice(list(Lose)))
            run.wait(run.random.uniform(1, 6))
            run.fault("line to the warehouse cut", lost=sum(line.lost.values()))
            line.heal()
        assert sum(line.lost.values())
        assert run.finish().clean, str(run.verdict)


def test_a_full_disk_stops_the_load_and_a_retry_with_room_loads_all_once(the_world):
    with Run(the_world) as run:
        run.workload.land(DAY, 600)
        run.start(drivers.produce, "producer")
        run.await_done("producer")
        run.start(drivers.load, "loader-no-room", file_limit=4_000, chunk_batches=1_000, again=False)
        run.wait_for(lambda: bool(run.retries("loader-no-room")), "the loader says that it cannot go on", within_s=30)
        run.fault("a local file may have 4000 bytes", error=run.retries("loader-no-room"))
        run.start(drivers.load, "loader")
        assert run.finish().clean, str(run.verdict)


def test_a_full_disk_keeps_files_out_of_the_archive_and_no_record_from_the_table(the_world):
    with Run(the_world) as run:
        run.workload.land(DAY, 600)
        files = list(run.workload.landing.rglob("*.jsonl"))
        room = min(file.stat().st_size for file in files) - 1
        run.start(drivers.produce, "producer-no-room", file_limit=room)
        run.await_done("producer-no-room")
        run.fault(f"a local file may have {room} bytes, the feed's files have more")
        assert "cannot be archived" in run.last_words("producer-no-room")
        assert not list(run.settings.archive_folder.rglob("*.jsonl"))
        # With room again the same delivery is sent again and archived; the table holds it once.
        run.start(drivers.produce, "producer")
        run.start(drivers.load, "loader")
        assert run.finish().clean, str(run.verdict)
        assert len(list(run.settings.archive_folder.rglob("*.jsonl"))) == len(files)


@pytest.mark.parametrize("by", [timedelta(days=-2), timedelta(days=2)], ids=["back", "forward"])
def test_a_clock_that_jumps_changes_no_count(the_world, by):
    with Run(the_world) as run:
        run.workload.land(DAY, 1_200)
        run.start(drivers.produce, "producer", pace_s=0.5, clock_step=by)
        run.start(drivers.load, "loader", clock_step=by)
        run.fault(f"the clock of producer and loader jumps by {by}")
        assert run.finish().clean, str(run.verdict)
        assert {one["who"] for one in run.events("clock")} == {"producer", "loader"}
        loaded = run.query(f'SELECT MIN("_LOADED_AT"), MAX("_LOADED_AT") FROM FEEDLINE.IHUB.{run.workload.feed.table}')
        run.fault("rows say when they were loaded", first=loaded[0][0], last=loaded[0][1])


def test_two_processes_that_load_the_same_range_load_it_once(the_world):
    with Run(the_world) as run:
        run.workload.land(DAY, 2_400)
        for number in range(3):
            run.start(drivers.load, f"loader-{number}", chunk_batches=10)
        run.start(drivers.produce, "producer", pace_s=0.2)
        run.fault("three processes load the same offsets at once")
        assert run.finish().clean, str(run.verdict)
        [(loads,)] = run.query(
            f"SELECT COUNT(DISTINCT LOAD_ID) FROM FEEDLINE.CONTROL.LOAD_LEDGER WHERE FEED = '{run.workload.feed.name}'"
        )
        assert loads > 1
        assert len({one["who"] for one in run.events("loaded")}) > 1


def test_loads_that_do_not_take_turns_are_found_as_duplicates(the_world):
    with Run(the_world) as run:
        run.workload.land(DAY, 300)
        run.start(drivers.produce, "producer")
        run.await_done("producer")
        for number in range(2):
            run.start(drivers.load, f"loader-{number}", bug=bugs.NO_FENCE, chunk_batches=1_000, once=True)
        assert "duplicate" in run.finish().names


def test_a_topic_that_grows_in_mid_delivery_loses_nothing(the_world):
    with Run(the_world, partitions=80) as run:
        for number in range(2):
            run.workload.land(DAY + timedelta(days=number), 1_800)
        run.start(drivers.witness, "witness")
        run.start(drivers.produce, "producer-0", pace_s=0.4)
        run.start(drivers.load, "loader")
        run.wait_for(lambda: len(run.acknowledged()) > 400, "a part is acknowledged")
        topic = run.workload.feed.topic
        admin = admin_client(the_world.settings.kafka)
        changes = ensure_topics(admin, [replace(topic, partitions=120)])
        run.fault("the topic grows from 80 to 120 partitions", told=changes[0])
        # A broker may not have heard of it yet.
        run.wait_for(lambda: partition_count(admin, topic.name) == 120, "it has grown")
        run.await_done("producer-0")
        run.start(drivers.produce, "producer-1", day=DAY + timedelta(days=1), pace_s=0.1)
        assert run.finish().clean, str(run.verdict)
        assert max(batch.partition for batch in run.observe().topic) >= 80
