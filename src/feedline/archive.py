"""The file archive: every delivery that was produced, so that its business date can be produced again.

`<archive>/<YYYY-MM-DD>/<feed>/<delivery id>/` holds a delivery's files and, written last, its control file under the
names that they landed with. The delivery's id is made from the files' SHA-256, so a folder never changes its content,
and keeping the same delivery again finds it there. Files are copied, not linked: a sender that writes a corrected file
over the landed one would change what a hard link shows.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import BinaryIO

from feedline.batch.control_file import ControlFile, ControlledFile, delivery_folder, read_control_file
from feedline.batch.identity import Cycle
from feedline.batch.landed_file import open_landed
from feedline.errors import ConfigurationError, ControlMismatchError
from feedline.producer.source_files import DeliverySource

CONTROL_SUFFIX = ".control.json"
COPY_BYTES = 1 << 20
# Folders that are still being written; they are of no delivery until they get its name.
_UNFINISHED = ".unfinished-"


def keep(archive: Path, source: DeliverySource) -> bool:
    """Copies a delivery's files and its control file into the archive; whether it was not there before.

    Raises ControlMismatchError when a file is no longer the one that the control file names, ConfigurationError when
    the archive cannot be written. A copy that is cut short leaves a folder that nobody takes for a delivery.
    """
    delivery = source.control.delivery
    folder = _folder(archive, delivery.feed, delivery.business_date) / delivery.delivery_id
    if folder.exists():
        if source.folder != folder:
            _mark_as_last(folder / f"{delivery.delivery_id}{CONTROL_SUFFIX}")
        return False
    unfinished = folder.with_name(f"{_UNFINISHED}{uuid.uuid4().hex}")
    try:
        unfinished.mkdir(parents=True)
        for file in source.control.files:
            _copy(source.path(file), unfinished / file.name, file, delivery.feed)
        _write(unfinished / f"{delivery.delivery_id}{CONTROL_SUFFIX}", _document(source.control))
        _take_name(unfinished, folder)
    except OSError as error:
        raise ConfigurationError(
            f"the delivery cannot be archived ({error.strerror}): make room or grant the right to write there",
            feed=delivery.feed,
            delivery_id=delivery.delivery_id,
            file=str(error.filename or folder),
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return True


def archived(
    archive: Path, feed: str, business_date: date, cycle: Cycle = Cycle.EOD, *, delivery_id: str | None = None
) -> DeliverySource:
    """The archived delivery of that id, or else the one of the date that was archived last.

    Its files are verified against their hashes when they are opened, like landed ones. Raises ControlMismatchError
    when the archive has none.
    """
    found = [
        source
        for source in archived_deliveries(archive, feed, business_date)
        if source.control.cycle is cycle and delivery_id in (None, source.control.delivery.delivery_id)
    ]
    if not found:
        raise ControlMismatchError(
            f"the archive {archive} has no {cycle} delivery of {business_date}: ask the sender for its files",
            feed=feed,
            delivery_id=delivery_id,
        )
    return found[-1]


def archived_deliveries(archive: Path, feed: str, business_date: date) -> list[DeliverySource]:
    """Every delivery of the date in the archive, the one archived last at the end."""
    return [DeliverySource(read_control_file(path), path.parent) for path in _controls(archive, feed, business_date)]


def kept_at(source: DeliverySource) -> datetime:
    """When an archived delivery was archived, or landed once more since."""
    control = source.folder / f"{source.control.delivery.delivery_id}{CONTROL_SUFFIX}"
    return datetime.fromtimestamp(control.lstat().st_mtime, UTC)


def _controls(archive: Path, feed: str, business_date: date) -> Iterator[Path]:
    folder = _folder(archive, feed, business_date)
    found = [path for path in folder.glob(f"*/*{CONTROL_SUFFIX}") if not path.parent.name.startswith(_UNFINISHED)]
    yield from sorted(found, key=lambda path: (path.lstat().st_mtime_ns, path.name))


def _folder(archive: Path, feed: str, business_date: date) -> Path:
    return delivery_folder(archive, feed, business_date)


def _copy(origin: Path, copy: Path, said: ControlledFile, feed: str) -> None:
    digest = hashlib.sha256()
    with _opened(origin, feed) as source, copy.open("xb", buffering=0) as target:
        while piece := source.read(COPY_BYTES):
            digest.update(piece)
            view = memoryview(piece)
            while view:
                view = view[target.write(view) :]
        os.fsync(target.fileno())
    if digest.hexdigest() != said.sha256:
        raise ControlMismatchError(
            "the file is no longer the one that its control file names: it was not archived", feed=feed, file=said.name
        )


def _opened(origin: Path, feed: str) -> BinaryIO:
    try:
        return open_landed(origin)
    except OSError as error:
        raise ControlMismatchError(
            f"the file can no longer be read: {error.strerror}: it was not archived", feed=feed, file=origin.name
        ) from error


def _document(control: ControlFile) -> bytes:
    """The control file as a sender writes it."""
    files = [
        {
            "name": file.name,
            "bytes": file.size,
            "sha256": file.sha256,
            "records": file.records,
            "controlTotals": {path: format(total, "f") for path, total in file.control_totals.items()},
        }
        for file in control.files
    ]
    document = {
        "feed": control.feed,
        "businessDate": control.business_date.isoformat(),
        "cycle": control.cycle.value,
        "files": files,
        "records": control.records,
        "controlTotals": {path: format(total, "f") for path, total in control.control_totals.items()},
    }
    return json.dumps(document, indent=2).encode()


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as target:
        target.write(content)
        target.flush()
        os.fsync(target.fileno())


def _mark_as_last(control: Path) -> None:
    """A delivery that landed once more is the one of its date that counts, whatever was archived since."""
    # That it cannot be marked leaves the order as it was, in which it was first kept.
    with suppress(OSError):
        os.utime(control)


def _take_name(unfinished: Path, folder: Path) -> None:
    """Gives a whole folder its name; another keeper that was faster has archived the same."""
    try:
        unfinished.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
