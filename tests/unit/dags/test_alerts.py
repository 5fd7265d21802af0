"""Alerts as they leave Airflow: through its own notifiers, to a real HTTP server."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import socket
import threading
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from zoneinfo import ZoneInfo

import pytest
from aiosmtpd.controller import UnthreadedController

from feedline.catalog import Stage, load_catalog
from feedline.monitoring.alert import Alert, AlertKind

FRIDAY = date(2026, 11, 20)
DUE = datetime(2026, 11, 20, 23, tzinfo=UTC)


@pytest.fixture
def alert():
    link = "http://airflow/dags/ihub_eod/runs/1"
    return Alert(AlertKind.LATE, "accounts", FRIDAY, Stage.ARRIVED, DUE, None, timedelta(minutes=12), link)


@pytest.fixture
def receiver():
    """A server that keeps what is posted to it and answers with `answer`."""

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.heard.append((self.path, json.loads(body)))
            self.send_response(self.server.answer)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_arguments):
            """Keeps the test's output quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.heard, server.answer = [], 200
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def connection(monkeypatch):
    def define(name, **fields):
        monkeypatch.setenv(f"AIRFLOW_CONN_FEEDLINE_ALERTS_{name.upper()}", json.dumps(fields))

    return define


def test_only_channels_whose_connection_is_set_up_are_used(connection):
    from feedline_airflow.alert_channels import alert_channels

    assert alert_channels() == {}
    connection("slack", conn_type="slackwebhook", password="T0/B0/x")
    connection("smtp", conn_type="smtp", host="127.0.0.1", extra={"to": "desk@example.com"})
    assert set(alert_channels()) == {"smtp", "slack"}


def test_a_webhook_gets_every_field_of_an_alert_once(connection, receiver, alert):
    from feedline_airflow.alert_channels import alert_channels

    port = receiver.server_address[1]
    connection("webhook", conn_type="http", host=f"http://127.0.0.1:{port}", extra={"endpoint": "hook"})
    alert_channels()["webhook"](alert)
    [(path, told)] = receiver.heard
    assert path == "/hook"
    assert told == alert.to_dict()
    assert (told["feed"], told["businessDate"], told["stage"], told["lateSeconds"], told["link"]) == (
        "accounts",
        "2026-11-20",
        "arrived",
        720,
        "http://airflow/dags/ihub_eod/runs/1",
    )


def test_slack_gets_the_sentence_and_the_link(connection, receiver, alert):
    from feedline_airflow.alert_channels import alert_channels

    address = f"http://127.0.0.1:{receiver.server_address[1]}"
    connection("slack", conn_type="slackwebhook", host=address, password="T0/B0/x")
    alert_channels()["slack"](alert)
    [(path, told)] = receiver.heard
    assert path == "/T0/B0/x"
    assert told["text"] == alert.text


def test_a_receiver_that_refuses_is_an_error_and_not_a_sent_alert(connection, receiver, alert):
    from feedline_airflow.alert_channels import alert_channels

    receiver.answer = 500
    connection("webhook", conn_type="http", host=f"http://127.0.0.1:{receiver.server_address[1]}")
    with pytest.raises(Exception, match="500"):
        alert_channels()["webhook"](alert)


@pytest.fixture
def mailbox():
    """A real SMTP server on this machine, and the mails that it took."""

    class Mailbox:
        def __init__(self):
            self.mails = []

        async def handle_DATA(self, _server, _session, envelope):  # noqa: N802
            self.mails.append(
                (envelope.rcpt_tos, email.message_from_bytes(envelope.content, policy=email.policy.default))
            )
            return "250 taken"

    box = Mailbox()
    loop = asyncio.new_event_loop()
    server = UnthreadedController(box, hostname="127.0.0.1", port=0, loop=loop)
    server.begin()
    box.port = server.server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield box
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.end()
    loop.close()


def test_an_e_mail_names_feed_date_stage_and_lateness_and_links_to_the_run(connection, mailbox, alert):
    from feedline_airflow.alert_channels import alert_channels

    extra = {"to": "desk@example.com, ops@example.com", "from_email": "feedline@example.com", "disable_ssl": True}
    connection("smtp", conn_type="smtp", host="127.0.0.1", port=mailbox.port, extra={**extra, "disable_tls": True})
    alert_channels()["smtp"](replace(alert, detail="<b>{{ 1 + 1 }}</b>"))
    [(to, mail)] = mailbox.mails
    assert to == ["desk@example.com", "ops@example.com"]
    assert mail["From"] == "feedline@example.com"
    subject = str(mail["Subject"])
    assert subject.startswith("[feedline] accounts of 2026-11-20 has not arrived")
    assert "12 min" in subject
    body = mail.get_body(("html",)).get_content()
    assert 'href="http://airflow/dags/ihub_eod/runs/1"' in body
    # What an alert tells is text: neither markup nor a template.
    assert "&lt;b&gt;{{ 1 + 1 }}&lt;/b&gt;" in body


def test_a_mail_server_that_is_away_is_an_error_and_not_a_sent_alert(connection, mailbox, alert):
    from feedline_airflow.alert_channels import alert_channels

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        extra = {"to": "desk@example.com", "from_email": "f@example.com", "disable_ssl": True, "retry_limit": 1}
        connection("smtp", conn_type="smtp", host="127.0.0.1", port=nobody.getsockname()[1], extra=extra)
        with pytest.raises(Exception, match=r"(?i)refused|connect"):
            alert_channels()["smtp"](alert)
    assert mailbox.mails == []


@pytest.mark.parametrize("run_type", ["backfill", "manual", "asset_triggered"])
def test_only_a_run_of_the_schedule_is_overdue(run_type, monkeypatch):
    from feedline_airflow import sla_steps

    told = []
    monkeypatch.setattr(sla_steps, "_tell_overdue", lambda run, deadline: told.append(run["run_type"]))
    for kind in (run_type, "scheduled"):
        run = {"run_type": kind, "dag_run_id": "r", "dag_id": "ihub_eod", "logical_date": "2026-11-20T23:30:00Z"}
        context = {"dag_run": run, "deadline": {"id": "1", "deadline_time": DUE}}
        asyncio.run(sla_steps.cycle_overdue(context))
    assert told == ["scheduled"]


def test_the_cycle_s_deadline_is_the_catalogue_s_last_promise_in_either_season(dags):
    from feedline_airflow.run_links import EOD_STARTS

    [deadline] = dags["ihub_eod"].deadline
    assert deadline.callback.path == "feedline_airflow.sla_steps.cycle_overdue"
    for day in (date(2026, 7, 1), FRIDAY):
        starts = datetime.combine(day, EOD_STARTS, ZoneInfo("America/New_York"))
        last = max(feed.sla.last_due(day) for feed in load_catalog().feeds.values())
        assert starts + deadline.interval == last


def test_a_business_date_s_scheduled_run_is_known_by_its_id(dags):
    import pendulum
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import TimeRestriction
    from airflow.utils.types import DagRunType

    from feedline_airflow.run_links import run_link, scheduled_run_id

    timetable = DagSerialization.from_dict(DagSerialization.to_dict(dags["ihub_eod"])).timetable
    earliest = pendulum.datetime(2026, 11, 20, 12)
    restriction = TimeRestriction(earliest=earliest, latest=None, catchup=True)
    due = timetable.next_dagrun_info(last_automated_data_interval=None, restriction=restriction)
    run_id = timetable.generate_run_id(
        run_type=DagRunType.SCHEDULED, run_after=due.run_after, data_interval=due.data_interval
    )
    assert scheduled_run_id(FRIDAY) == run_id
    link = run_link("ihub_eod", run_id)
    assert link is None or link.endswith("/dags/ihub_eod/runs/scheduled__2026-11-20T23%3A30%3A00%2B00%3A00")


def test_a_day_on_which_the_exchange_is_closed_is_no_business_date():
    from feedline.catalog.business_days import is_business_day

    days = [date(2026, 11, 25), date(2026, 11, 26), date(2026, 11, 27), date(2026, 11, 28)]
    assert [is_business_day(day) for day in days] == [True, False, True, False]
