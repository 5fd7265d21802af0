"""Asks pip-audit for known weaknesses of the locked packages, and tells when nobody could be asked.

pip-audit itself passes when its service knows none of the packages, as behind a mirror that has no such service.
Exit codes: 0 nothing is known, 1 weaknesses, 3 packages could not be looked up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SHOWN = 5


def verdict(report: dict[str, Any]) -> tuple[int, list[str]]:
    """The exit code and what to print for pip-audit's report as JSON."""
    packages = report["dependencies"]
    weak = [
        f"{one['name']} {one['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no version'}"
        for one in packages
        for found in one.get("vulns", [])
    ]
    if weak:
        return 1, weak
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    if skipped:
        named = ", ".join(skipped[:SHOWN]) + (", ..." if len(skipped) > SHOWN else "")
        what = f"{len(skipped)} of {len(packages)} packages could not be looked up ({named}): nothing is known of them"
        return 3, [f"{what}; run `make audit` where the package index's vulnerability service can be reached"]
    return 0, [f"no known weakness in {len(packages)} packages"]


def main() -> int:
    command = [str(Path(sys.executable).with_name("pip-audit")), "--disable-pip", "--progress-spinner", "off"]
    done = subprocess.run(
        [*command, "--format", "json", "-r", str(ROOT / "requirements.txt")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        code, lines = verdict(json.loads(done.stdout))
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]
        code, lines = 3, [f"the vulnerability service did not answer: {last[:300]}"]
    sys.stdout.write("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
