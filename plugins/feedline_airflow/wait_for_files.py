"""The step that waits for a feed's files."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout

from feedline_airflow.control_file_trigger import ControlFileTrigger


class WaitForFiles(BaseSensorOperator):
    """Looks once and, when the files have not landed, hands the waiting to the triggerer and frees the worker.

    Fails after `timeout`, without trying again and saying what is missing, and when the control file cannot be used.
    """

    def __init__(self, *, feed: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.feed = feed

    def execute(self, context: Any) -> None:
        from feedline.settings import load_settings
        from feedline_airflow.landing import look
        from feedline_airflow.run_options import run_options

        settings, business_date = load_settings(), run_options(context).business_date
        seen = look(settings.landing, self.feed, business_date, settings.archive_folder)
        if not seen.missing:
            if seen.archived:
                self.log.warning("%s of %s is in the archive only: it is taken from there", self.feed, business_date)
            self._landed(seen.files, seen.records, seen.bytes)
            return
        self.log.info("Waiting for the files of %s for %s: %s", self.feed, business_date, seen.missing)
        self.defer(
            trigger=ControlFileTrigger(
                landing=str(settings.landing.resolve()),
                archive=str(settings.archive_folder.resolve()),
                feed=self.feed,
                business_date=business_date.isoformat(),
                poll_s=self.poke_interval,
            ),
            method_name=self.resume.__name__,
            timeout=timedelta(seconds=self.timeout),
        )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout as late:
            # Airflow's own words are "Trigger timeout".
            from feedline.settings import load_settings
            from feedline_airflow.landing import look
            from feedline_airflow.run_options import run_options

            settings, business_date = load_settings(), run_options(context).business_date
            missing = look(settings.landing, self.feed, business_date, settings.archive_folder).missing
            raise AirflowSensorTimeout(
                f"the files of {self.feed} for {business_date} have not landed within "
                f"{timedelta(seconds=self.timeout)}: {missing or 'they have just now'}. Ask the sender for them, and "
                "clear this task, which waits again"
            ) from late

    def resume(self, context: Any, event: dict[str, Any]) -> None:  # noqa: ARG002
        if event["status"] == "refused":
            raise AirflowFailException(event["reason"])
        self._landed(event["files"], event["records"], event["bytes"])

    def _landed(self, files: int, records: int, size: int) -> None:
        self.log.info("%s has landed: %d files, %d records, %.1f MB", self.feed, files, records, size / 1e6)
