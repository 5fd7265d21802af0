"""Where provisioning keeps its books: what was begun and done, who did it, plans and jobs of the service."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from feedline.catalog_files import settings_path

BOOKS_VARIABLE = "FEEDLINE_PROVISION_BOOKS"


@dataclass(frozen=True, slots=True)
class Books:
    """The files of one folder. Whoever provisions one installation, by command or by service, shares it: the journal
    lets one apply in at a time."""

    folder: Path

    @property
    def journal(self) -> Path:
        return self.folder / "provision.journal"

    @property
    def audit(self) -> Path:
        return self.folder / "provision-audit.jsonl"

    @property
    def drift(self) -> Path:
        return self.folder / "provision-drift.json"

    @property
    def plans(self) -> Path:
        return self.folder / "provision-plans"

    @property
    def jobs(self) -> Path:
        return self.folder / "provision-jobs"


def default_books() -> Books:
    """Those of `$FEEDLINE_PROVISION_BOOKS`, else beside the settings file, which every process knows."""
    named = os.environ.get(BOOKS_VARIABLE)
    return Books(Path(named) if named else settings_path().parent)
