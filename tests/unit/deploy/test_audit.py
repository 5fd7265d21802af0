"""A scan that could look nothing up is not a scan that found nothing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).parents[3] / "tools/audit.py"
KNOWN = {"name": "a", "version": "1", "vulns": []}
WEAK = {"name": "b", "version": "2", "vulns": [{"id": "CVE-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "code", "said"),
    [
        ([KNOWN], 0, "no known weakness in 1 packages"),
        ([KNOWN, WEAK, SKIPPED], 1, "b 2: CVE-1, mended in 3"),
        ([KNOWN, SKIPPED], 3, "1 of 2 packages could not be looked up (c)"),
    ],
)
def test_what_could_not_be_looked_up_is_told(packages, code, said):
    spec = importlib.util.spec_from_file_location("audit", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found, lines = module.verdict({"dependencies": packages})
    assert found == code
    assert lines[0].startswith(said)
