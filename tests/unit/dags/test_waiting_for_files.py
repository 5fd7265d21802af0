"""The wait for a feed's files, against a real folder."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from datetime import date
from types import SimpleNamespace

import pytest

from feedline import settings
from feedline.batch.control_file import control_path, delivery_folder

DAY = date(2026, 11, 20)
CONTENT = b'{"a": 1}\n' * 4


class Sender:
    """Writes a feed's files of a day the way its sender does: the control file last."""

    def __init__(self, landing):
        self.landing = landing
        self.folder = delivery_folder(landing, "accounts", DAY)
        self.folder.mkdir(parents=True)

    def send_file(self, content=CONTENT):
        (self.folder / "accounts_20261120_001.jsonl").write_bytes(content)

    def send_control(self, size=36):
        entry = {"name": "accounts_20261120_001.jsonl", "bytes": size, "records": 4, "controlTotals": {}}
        entry["sha256"] = hashlib.sha256(CONTENT).hexdigest()
        document = {"feed": "accounts", "businessDate": "2026-11-20", "cycle": "EOD", "records": 4}
        part = self.folder / "part"
        part.write_text(json.dumps(document | {"files": [entry], "controlTotals": {}}))
        part.rename(control_path(self.landing, "accounts", DAY))


@pytest.fixture
def sender(tmp_path):
    return Sender(tmp_path)


@pytest.fixture
def trigger(sender):
    from feedline_airflow.control_file_trigger import ControlFileTrigger

    return ControlFileTrigger(landing=str(sender.landing), feed="accounts", business_date="2026-11-20", poll_s=0.01)


async def first_event(trigger):
    async for event in trigger.run():
        return event.payload
    return None


def test_files_without_a_control_file_have_not_landed(sender):
    from feedline_airflow.landing import look

    sender.send_file()
    assert "accounts_20261120.control.json" in look(sender.landing, "accounts", DAY).missing


def test_a_file_that_is_still_being_copied_has_not_landed(sender):
    from feedline_airflow.landing import look

    sender.send_control()
    assert "no accounts_20261120_001.jsonl" in look(sender.landing, "accounts", DAY).missing
    sender.send_file(CONTENT[:20])
    assert look(sender.landing, "accounts", DAY).missing == "accounts_20261120_001.jsonl has 20 of 36 bytes"
    sender.send_file()
    assert not look(sender.landing, "accounts", DAY).missing


def test_a_file_longer_than_announced_is_not_waited_for_because_producing_it_is_refused(sender):
    from feedline_airflow.landing import look

    sender.send_file()
    sender.send_control(size=10)
    assert not look(sender.landing, "accounts", DAY).missing


def test_what_is_no_plain_file_is_not_waited_for_because_reading_it_is_refused(sender, tmp_path):
    from feedline.errors import ControlMismatchError
    from feedline_airflow.landing import look

    os.mkfifo(sender.folder / "accounts_20261120_001.jsonl")
    sender.send_control()
    assert not look(sender.landing, "accounts", DAY).missing
    control = control_path(sender.landing, "accounts", DAY)
    control.unlink()
    control.symlink_to(tmp_path / "nothing")
    with pytest.raises(ControlMismatchError, match="symbolic link"):
        look(sender.landing, "accounts", DAY)


def test_files_that_only_the_archive_has_are_not_waited_for(sender, tmp_path):
    from feedline.archive import keep
    from feedline.producer.source_files import find_source
    from feedline_airflow.landing import look

    sender.send_file()
    sender.send_control()
    archive = tmp_path / "archive"
    keep(archive, find_source(sender.landing, "accounts", DAY))
    control_path(sender.landing, "accounts", DAY).unlink()
    assert look(sender.landing, "accounts", DAY).missing
    seen = look(sender.landing, "accounts", DAY, archive)
    assert (seen.missing, seen.files, seen.records, seen.bytes, seen.archived) == ("", 1, 4, 36, True)
    # What has landed counts, though an earlier delivery of the date was kept.
    sender.send_control(size=99)
    assert look(sender.landing, "accounts", DAY, archive).missing


def test_the_trigger_fires_when_the_last_file_is_whole_and_not_before(sender, trigger):
    async def scenario():
        waiting = asyncio.create_task(first_event(trigger))
        await asyncio.sleep(0.05)
        sender.send_control()
        await asyncio.sleep(0.05)
        assert not waiting.done()
        sender.send_file()
        return await waiting

    assert asyncio.run(scenario()) == {"status": "landed", "files": 1, "records": 4, "bytes": 36}


def test_two_of_the_same_trigger_both_fire(sender, trigger):
    sender.send_file()
    sender.send_control()

    async def both():
        return await asyncio.gather(first_event(trigger), first_event(trigger))

    first, second = asyncio.run(both())
    assert first == second == {"status": "landed", "files": 1, "records": 4, "bytes": 36}


def test_a_control_file_that_cannot_be_used_ends_the_wait_with_the_reason(sender, trigger):
    control_path(sender.landing, "accounts", DAY).write_text('{"feed": "accounts"}')
    event = asyncio.run(first_event(trigger))
    assert event["status"] == "refused"
    assert "businessDate" in event["reason"]


def test_a_trigger_is_made_again_from_what_it_serializes_to(trigger):
    from airflow.sdk._shared.module_loading import import_string

    classpath, arguments = trigger.serialize()
    assert import_string(classpath)(**arguments).serialize() == (classpath, arguments)


@pytest.fixture
def timed_out(monkeypatch, sender):
    """What a wait says in the run of a business date when Airflow ends it, as it does after its timeout."""
    from airflow.sdk.exceptions import AirflowSensorTimeout

    monkeypatch.setattr(settings, "load_settings", lambda: settings.Settings({}, {}, {}, sender.landing))
    context = {"params": {"business_date": "2026-11-20", "feeds": ["accounts"], "dry_run": False}}
    context["dag_run"] = SimpleNamespace(logical_date=None, run_after=None)

    def end(wait):
        with pytest.raises(AirflowSensorTimeout) as raised:
            wait.resume_execution("__fail__", {"error": "Trigger timeout"}, context)
        return str(raised.value)

    return end


def test_a_wait_that_was_too_long_names_what_is_missing_and_what_to_do(sender, timed_out):
    from feedline_airflow.wait_for_delivery import WaitForDelivery
    from feedline_airflow.wait_for_files import WaitForFiles

    files = WaitForFiles(task_id="wait", feed="accounts", timeout=8 * 3600)
    assert "files of accounts for 2026-11-20 have not landed within 8:00:00: no accounts_20261120" in timed_out(files)
    sender.send_control()
    sender.send_file(CONTENT[:20])
    assert "accounts_20261120_001.jsonl has 20 of 36 bytes. Ask the sender" in timed_out(files)
    delivered = WaitForDelivery(task_id="wait", feed="accounts", delivery={"delivery_id": "a-1"}, timeout=3600)
    assert "the manifest of a-1 was not seen on its topic within 1:00:00" in timed_out(delivered)
