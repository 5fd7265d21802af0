"""What of Feedline Airflow has to know at its start: the timetable of exchange days."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from feedline_airflow.exchange_timetable import ExchangeDayTimetable


class FeedlinePlugin(AirflowPlugin):
    name = "feedline"
    timetables = [ExchangeDayTimetable]  # noqa: RUF012  as Airflow's plugins declare it
