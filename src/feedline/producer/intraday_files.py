"""The small deliveries of a day that have landed: any number, each with a control file of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from feedline.batch.control_file import intraday_control_paths
from feedline.batch.identity import Cycle
from feedline.batch.landed_file import landed_bytes, open_landed
from feedline.errors import ControlMismatchError
from feedline.producer.source_files import DeliverySource, source_at


@dataclass(frozen=True, slots=True)
class LandedDelivery:
    """A small delivery whose files are all there, or one that cannot be used, with the reason in `refused`.

    fingerprint: of the control file's content, or why it cannot be read; a corrected one has another.
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
            with open_landed(path) as file:
                fingerprint = _fingerprint(file.read())
            source = source_at(path, feed, business_date, Cycle.INTRADAY)
        except FileNotFoundError:
            # Withdrawn since the folder was listed.
            continue
        except OSError as error:
            told = str(
                ControlMismatchError(f"the control file cannot be read: {error.strerror}", feed=feed, file=str(path))
            )
            yield LandedDelivery(path, _fingerprint(told.encode()), refused=told)
            continue
        except ControlMismatchError as error:
            yield LandedDelivery(path, fingerprint, refused=str(error))
            continue
        if _is_whole(source):
            yield LandedDelivery(path, fingerprint, source)


def _fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _is_whole(source: DeliverySource) -> bool:
    """A file that is longer than announced, or no plain file, keeps nobody waiting: producing it is refused with the
    reason."""
    try:
        sizes = [landed_bytes(source.path(file)) for file in source.control.files]
    except FileNotFoundError:
        return False
    return all(size is None or size >= said.size for size, said in zip(sizes, source.control.files, strict=True))
