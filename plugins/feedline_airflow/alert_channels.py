"""How alerts leave: through those of Airflow's notifiers whose connection is set up.

| connection | notifier | what it needs |
|---|---|---|
| `feedline_alerts_smtp` | e-mail | host, login, password; extras `from_email` and `to` (addresses, by commas) |
| `feedline_alerts_slack` | Slack | an incoming webhook's token as password |
| `feedline_alerts_webhook` | HTTP POST of JSON | host; the extra `endpoint` when the path is not in it |
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook, BaseNotifier, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

if TYPE_CHECKING:
    from feedline.monitoring.alert import Alert

SMTP_CONNECTION = "feedline_alerts_smtp"
SLACK_CONNECTION = "feedline_alerts_slack"
WEBHOOK_CONNECTION = "feedline_alerts_webhook"

# Seconds. An evaluation waits for its channels one after another.
PATIENCE_S = 20


def alert_channels() -> dict[str, Callable[[Alert], None]]:
    """By name, each channel whose connection exists."""
    made = {
        "smtp": (SMTP_CONNECTION, _smtp),
        "slack": (SLACK_CONNECTION, _slack),
        "webhook": (WEBHOOK_CONNECTION, _webhook),
    }
    return {
        name: _sender(connection, notifier)
        for name, (connection_id, notifier) in made.items()
        if (connection := _connection(connection_id)) is not None
    }


def _connection(connection_id: str) -> Connection | None:
    try:
        return BaseHook.get_connection(connection_id)
    except AirflowNotFoundException:
        return None


def _sender(connection: Connection, notifier: Callable[[Connection, Alert], BaseNotifier]) -> Callable[[Alert], None]:
    def send(alert: Alert) -> None:
        made = notifier(connection, alert)
        # A notifier renders its fields as templates; what an alert tells is text, whatever it looks like.
        made.template_fields = ()
        made({})

    return send


def _smtp(connection: Connection, alert: Alert) -> BaseNotifier:
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier

    to = [address.strip() for address in str(connection.extra_dejson.get("to", "")).split(",") if address.strip()]
    if not to:
        raise ValueError(f"the connection {SMTP_CONNECTION} has no extra `to`")
    link = f'<p><a href="{escape(alert.link)}">{escape(alert.link)}</a></p>' if alert.link else ""
    return SmtpNotifier(
        smtp_conn_id=SMTP_CONNECTION,
        to=to,
        subject=f"[feedline] {alert.subject}",
        html_content=f"<p>{escape(alert.subject)}</p><p>{escape(alert.detail)}</p>{link}",
    )


def _slack(connection: Connection, alert: Alert) -> BaseNotifier:
    from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier

    return SlackWebhookNotifier(slack_webhook_conn_id=connection.conn_id, text=alert.text, timeout=PATIENCE_S)


def _webhook(connection: Connection, alert: Alert) -> BaseNotifier:
    from airflow.providers.http.notifications.http import HttpNotifier

    return HttpNotifier(
        http_conn_id=connection.conn_id,
        endpoint=connection.extra_dejson.get("endpoint"),
        json=alert.to_dict(),
        extra_options={"timeout": PATIENCE_S},
    )
