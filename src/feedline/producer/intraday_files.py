"""The small deliveries of a day that have landed: any number, each with a control file of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from feedline.batch.control_file import intraday_control_paths
from feedline.batch.identity import Cycle
from feedline.errors import ControlMismatchError
from feedline.producer.source_files import DeliverySource, source_at


@dataclass(frozen=True, slots=True)
class LandedDelivery:
    """A small delivery whose files are all there, or one that cannot be used, with the reason in `refused`.

    fingerprint: of the control file's content; a corrected one has another.
    """

    control: Path
    fingerprint: str
    source: DeliverySource | None = None
    refused: str = ""


def landed_deliveries(landing: Path, feed: str, business_date: date) -> tuple[LandedDelivery, ...]:
    """What has landed by now, in the order of the control files' names; what is still on its way is left out."""
    return tuple(_landed(landing, feed, business_date))


def unknown_of(landed: Collection[LandedDelivery], known: Collection[str]) -> tuple[LandedDelivery, ...]:
    """Those whose control file, with this content, is not among the known fingerprints."""
    return tuple(delivery for delivery in landed if delivery.fingerprint not in known)


def _landed(landing: Path, feed: str, business_date: date) -> Iterator[LandedDelivery]:
    for path in intraday_control_paths(landing, feed, business_date):
        try:
            fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
            source = source_at(path, feed, business_date, Cycle.INTRADAY)
        except FileNotFoundError:
            # Withdrawn since the folder was listed.
            continue
        except ControlMismatchError as error:
            yield LandedDelivery(path, fingerprint, refused=str(error))
            continue
        if _is_whole(source):
            yield LandedDelivery(path, fingerprint, source)


def _is_whole(source: DeliverySource) -> bool:
    """A file that is longer than announced keeps nobody waiting: producing it is refused with the reason."""
    try:
        return all(source.path(file).stat().st_size >= file.size for file in source.control.files)
    except FileNotFoundError:
        return False
