"""The step that waits for a delivery to be whole on its topic."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout

from feedline_airflow.manifest_trigger import ManifestTrigger


class WaitForDelivery(BaseSensorOperator):
    """Looks once for the manifest of the announced delivery; when it is not there yet, the triggerer waits for it.

    Fails after `timeout`, without trying again and saying what it waited for.
    """

    template_fields: Sequence[str] = ("delivery",)

    def __init__(self, *, feed: str, delivery: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.feed = feed
        self.delivery = delivery

    def execute(self, context: Any) -> None:
        from feedline.catalog import load_catalog
        from feedline.consumer.manifests import find_manifest
        from feedline.settings import load_settings
        from feedline_airflow.kafka_hook import FeedlineKafkaHook
        from feedline_airflow.run_options import run_options

        topic = load_catalog(load_settings().catalog).feed(self.feed).topic.name
        business_date = run_options(context).business_date
        manifest = find_manifest(
            FeedlineKafkaHook().get_conn,
            topic,
            feed=self.feed,
            business_date=business_date,
            delivery_id=self.delivery["delivery_id"],
            since=datetime.fromisoformat(self.delivery["since"]),
        )
        if manifest is not None:
            self._delivered(manifest.records, manifest.batches)
            return
        self.log.info("Delivery %s is not whole on %s yet", self.delivery["delivery_id"], topic)
        self.defer(
            trigger=ManifestTrigger(
                topic=topic,
                feed=self.feed,
                business_date=business_date.isoformat(),
                delivery_id=self.delivery["delivery_id"],
                since=self.delivery["since"],
            ),
            method_name=self.resume.__name__,
            timeout=timedelta(seconds=self.timeout),
        )

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except AirflowSensorTimeout as late:
            # Airflow's own words are "Trigger timeout".
            raise AirflowSensorTimeout(
                f"the manifest of {self.delivery['delivery_id']} was not seen on its topic within "
                f"{timedelta(seconds=self.timeout)}: look whether the brokers answer, then clear this task; when the "
                "topic no longer has the delivery, clear the produce task"
            ) from late

    def resume(self, context: Any, event: dict[str, Any]) -> None:  # noqa: ARG002
        if event["status"] == "refused":
            raise AirflowFailException(event["reason"])
        self._delivered(event["records"], event["batches"])

    def _delivered(self, records: int, batches: int) -> None:
        self.log.info("Delivery %s is whole: %d records in %d messages", self.delivery["delivery_id"], records, batches)
