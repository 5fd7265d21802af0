"""A feed that is really late: Airflow tells a webhook once, and once more when the feed has come."""

from __future__ import annotations

import json
import shutil
import threading
from contextlib import suppress
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zoneinfo import ZoneInfo

import pytest
import yaml

from feedline.batch.control_file import delivery_folder
from feedline.catalog import default_catalog_path
from feedline.catalog.business_days import is_business_day
from feedline.local.state import SETTINGS

NEW_YORK = ZoneInfo("America/New_York")
FEED = "accounts"
WEBHOOK = "feedline_alerts_webhook"


@pytest.fixture
def receiver():
    """A server that keeps what is posted to it."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            self.server.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments):
            """Keeps the test's output quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.heard = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def webhook(provisioned, receiver):
    """The receiver as the connection that alerts are sent to; what it heard."""
    airflow = provisioned.airflow
    airflow.await_dag("ihub_sla")
    connection = {
        "connection_id": WEBHOOK,
        "conn_type": "http",
        "host": f"http://127.0.0.1:{receiver.server_address[1]}",
        "extra": json.dumps({"endpoint": "alerts"}),
    }
    airflow.call("POST", "/api/v2/connections", connection)
    yield receiver.heard
    airflow.call("PATCH", "/api/v2/dags/ihub_sla?update_mask=is_paused", {"is_paused": True})
    # Its answer has no body, which `call` takes for broken JSON.
    with suppress(ValueError):
        airflow.call("DELETE", f"/api/v2/connections/{WEBHOOK}")


@pytest.fixture
def late(provisioned, tmp_path):
    """A recent business date for which no other test has files, and when its one watched feed was due."""
    due = datetime.now(NEW_YORK).replace(second=0, microsecond=0) - timedelta(minutes=3)
    # Not today: for that the shipped promises are due as well, and other tests' runs look at them. The other tests'
    # own dates lie further back than the nine days a promise can be written over.
    days = [due.date() - timedelta(days=back) for back in range(1, 10)]
    landing = provisioned.settings.landing
    day = next(day for day in days if is_business_day(day) and not (landing / day.isoformat()).exists())
    include = tmp_path / "include"
    shutil.copytree(default_catalog_path().parent, include)
    document = yaml.safe_load((include / "feeds.yaml").read_text(encoding="utf-8"))
    for feed in document["feeds"].values():
        feed["sla"] = {}
    document["feeds"][FEED]["sla"] = {
        "arrived_by": written(due, day),
        "validated_by": written(due + timedelta(hours=2), day),
    }
    (include / "feeds.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    file = provisioned.home / SETTINGS
    before = file.read_text(encoding="utf-8")
    file.write_text(json.dumps({**json.loads(before), "catalog": str(include / "feeds.yaml")}), encoding="utf-8")
    yield day, due
    file.write_text(before, encoding="utf-8")


def written(moment: datetime, day: date) -> str:
    """A moment as the catalogue writes it for a business date."""
    days = (moment.date() - day).days
    return f"+{days} {moment:%H:%M}" if days else f"{moment:%H:%M}"


def about(heard, day):
    """What was heard of the feed and the date of this test; other tests' feeds may be late on theirs."""
    return [alert for alert in heard if (alert["feed"], alert["businessDate"]) == (FEED, day.isoformat())]


def test_a_late_feed_is_told_once_and_so_is_its_recovery(provisioned, webhook, late, send):
    day, due = late
    airflow = provisioned.airflow
    send(day, [FEED])
    folder = delivery_folder(provisioned.settings.landing, FEED, day)
    aside = folder.with_name(f"{FEED}.late")
    folder.rename(aside)

    run = airflow.trigger("ihub_eod", {"business_date": day.isoformat(), "feeds": [FEED]})
    airflow.await_state("ihub_eod", run, f"{FEED}.wait_for_files", "deferred")
    airflow.run("ihub_sla")
    airflow.run("ihub_sla")
    [alert] = about(webhook, day)
    assert (alert["kind"], alert["feed"], alert["businessDate"], alert["stage"]) == (
        "late",
        FEED,
        day.isoformat(),
        "arrived",
    )
    assert datetime.fromisoformat(alert["due"]) == due
    assert alert["lateSeconds"] >= 180
    assert alert["reached"] is None
    assert alert["link"].startswith(f"{airflow.url}/dags/ihub_eod")

    shutil.move(aside, folder)
    assert airflow.finish("ihub_eod", run) == "success"
    airflow.run("ihub_sla")
    [_, recovery] = about(webhook, day)
    assert (recovery["kind"], recovery["feed"], recovery["stage"]) == ("recovered", FEED, "arrived")
    assert recovery["lateSeconds"] >= alert["lateSeconds"]
    assert datetime.fromisoformat(recovery["reached"]) > due
    assert "min late" in recovery["text"]
