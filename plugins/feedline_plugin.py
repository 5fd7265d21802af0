"""What of Feedline Airflow has to know at its start: the timetable of exchange days, and the pages of its feeds."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from feedline_airflow.exchange_timetable import ExchangeDayTimetable
from feedline_airflow.web_app import URL_PREFIX, web_app


class FeedlinePlugin(AirflowPlugin):
    name = "feedline"
    timetables = [ExchangeDayTimetable]  # noqa: RUF012  as Airflow's plugins declare it
    fastapi_apps = [{"name": "Feedline", "app": web_app, "url_prefix": URL_PREFIX}]  # noqa: RUF012
    external_views = [  # noqa: RUF012
        {
            "name": "Feeds",
            "href": f"{URL_PREFIX}/ui/",
            "url_route": "feedline",
            "destination": "nav",
            "nav_top_level": True,
            "icon": f"{URL_PREFIX}/ui/icon.svg",
        }
    ]
