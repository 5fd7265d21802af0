"""What discovery found, as a page for a reviewer and as plain values for a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from feedline.metadata.discovery.engine import Discovery


def report_text(found: Discovery) -> str:
    """The report as Markdown: the same discovery gives the same bytes."""
    record = found.avro["name"]
    head = (
        f"{found.samples:,} samples of {found.size:,} bytes, {found.refused_count:,} refused; "
        f"{len(found.decisions) - 1:,} fields, {len(found.conflicts):,} to look at."
    )
    parts = [f"# How the schema {record} was reached", head]
    if found.refused:
        parts += [
            "## Samples that could not be read",
            "\n".join(f"- {place(one)}: {one.reason}" for one in found.refused),
        ]
    if found.conflicts:
        rows = [f"- `{one.path or record}`: {'; '.join(one.conflicts)}" for one in found.conflicts]
        parts += ["## To look at", "\n".join(rows)]
    if found.converted:
        names = ", ".join(f"`{one.path}`" for one in found.converted)
        parts += ["## Converted", f"In the documents these stand otherwise than in the schema: {names}."]
    return "\n\n".join([*parts, "## Decisions", _table(found)]) + "\n"


def place(one: Any) -> str:
    """Where a refused sample stood."""
    return f"{one.file + ' ' if one.file else ''}line {one.line:,}" if one.line else str(one.file or "a sample")


def _table(found: Discovery) -> str:
    lines = ["| Field | Type | Samples | Null | Why | Offered |", "|---|---|---:|---:|---|---|"]
    for one in found.decisions:
        cells = (
            one.path or found.avro["name"],
            one.type,
            f"{one.samples:,}",
            percent(one.null_share),
            one.reason,
            "; ".join(one.offers),
        )
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def percent(share: float) -> str:
    """`0.0004` -> `0.04 %`; what is not nothing does not look like nothing."""
    if share in (0, 1):
        return f"{share:.0%}".replace("%", " %")
    return f"{min(max(share * 100, 0.01), 99.99):.3g} %"


def document_of(found: Discovery) -> Mapping[str, Any]:
    """The decisions and what was refused, as plain values."""
    return {
        "samples": found.samples,
        "bytes": found.size,
        "refusedCount": found.refused_count,
        "refused": [one._asdict() for one in found.refused],
        "decisions": [asdict(one) for one in found.decisions],
    }
