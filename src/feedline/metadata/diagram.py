"""The entity-relation diagram of a model: as SVG, drawn here, and as Mermaid text for documents."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from feedline.metadata.ldm import Attribute, Entity, LogicalModel, Relation

ROW, WIDTH, GAP_X, GAP_Y, PAD = 20, 320, 90, 28, 16
SHOWN = 24


@dataclass(frozen=True, slots=True)
class _Box:
    """title; rows: name, type and whether it is a key, as drawn; more: attributes not drawn."""

    name: str
    title: str
    rows: tuple[tuple[str, str, bool], ...]
    more: int
    x: int
    y: int

    @property
    def height(self) -> int:
        return ROW * (1 + len(self.rows) + bool(self.more)) + 8

    @property
    def middle(self) -> int:
        return self.y + ROW // 2


def mermaid(model: LogicalModel, shown: int = SHOWN) -> str:
    """An `erDiagram` that documents and repositories draw themselves."""
    lines = ["erDiagram"]
    for entity in model.entities:
        lines.append(f"    {_word(entity.name)}[{_quoted(entity.title)}] {{")
        for one in _first(entity, shown):
            key = " PK" if one.key else ""
            lines.append(f"        {_word(one.type)} {_word(_own_path(one, entity))}{key} {_quoted(one.name)}")
        lines.append("    }")
    lines.extend(
        f"    {_word(one.parent)} ||--o{{ {_word(one.child)} : {_quoted(', '.join(one.by) or 'has')}"
        for one in model.relations
    )
    return "\n".join(lines) + "\n"


def svg(model: LogicalModel, shown: int = SHOWN) -> str:
    """A whole SVG document: parents of other feeds on the left, the feed in the middle, its child tables on the
    right. Text is escaped; there is no script, style element or outside reference."""
    boxes = {box.name: box for box in _boxes(model, shown)}
    lines = [_line(one, boxes) for one in model.relations if one.parent in boxes and one.child in boxes]
    width = max(box.x for box in boxes.values()) + WIDTH + PAD
    height = max(box.y + box.height for box in boxes.values()) + PAD
    title = f"Entities of {model.title} and how they relate"
    return "\n".join(
        [
            _head(width, height, title),
            f"<title>{escape(title)}</title>",
            *lines,
            *(_drawn(box) for box in boxes.values()),
            "</svg>",
            "",
        ]
    )


def _head(width: int, height: int, title: str) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    look = 'font-family="system-ui, sans-serif" font-size="13"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label={quoteattr(title)} {look}>'


def _boxes(model: LogicalModel, shown: int) -> list[_Box]:
    own = {entity.name for entity in model.entities}
    outside = [one for one in model.relations if one.child in own and one.parent not in own]
    left = _column([(one.parent, one.parent, [(key, "key", True) for key in one.by], 0) for one in outside], PAD)
    x = PAD + (WIDTH + GAP_X if left else 0)
    root, *children = model.entities
    middle = _column([_content(root, shown)], x)
    right = _column([_content(one, shown) for one in children], x + WIDTH + GAP_X)
    return [*left, *middle, *right]


def _content(entity: Entity, shown: int) -> tuple[str, str, list[tuple[str, str, bool]], int]:
    rows = [(one.name, one.type, one.key) for one in _first(entity, shown)]
    return entity.name, f"{entity.title} ({entity.table})", rows, len(entity.attributes) - len(rows)


def _column(contents: list[tuple[str, str, list[tuple[str, str, bool]], int]], x: int) -> list[_Box]:
    boxes: list[_Box] = []
    y = PAD
    for name, title, rows, more in contents:
        box = _Box(name, title, tuple(rows), more, x, y)
        boxes.append(box)
        y += box.height + GAP_Y
    return boxes


def _drawn(box: _Box) -> str:
    corner = f'x="{box.x}" y="{box.y}" width="{WIDTH}" rx="4"'
    parts = [
        f'<g><rect {corner} height="{box.height}" fill="#ffffff" stroke="#3b5b7a"/>',
        f'<rect {corner} height="{ROW + 2}" fill="#3b5b7a"/>',
        f'<text x="{box.x + 8}" y="{box.y + 15}" fill="#ffffff" font-weight="600">{escape(_cut(box.title, 40))}</text>',
    ]
    for number, (name, kind, key) in enumerate(box.rows, start=1):
        y = box.y + ROW * number + 17
        weight = ' font-weight="600"' if key else ""
        mark = "🔑 " if key else ""
        parts.append(f'<text x="{box.x + 8}" y="{y}" fill="#1b1f23"{weight}>{escape(mark + _cut(name, 26))}</text>')
        parts.append(
            f'<text x="{box.x + WIDTH - 8}" y="{y}" text-anchor="end" fill="#57606a">{escape(_cut(kind, 18))}</text>'
        )
    if box.more:
        y = box.y + ROW * (len(box.rows) + 1) + 17
        parts.append(f'<text x="{box.x + 8}" y="{y}" fill="#57606a" font-style="italic">and {box.more} more</text>')
    return "\n".join([*parts, "</g>"])


def _line(relation: Relation, boxes: dict[str, _Box]) -> str:
    start, end = boxes[relation.parent], boxes[relation.child]
    x1, y1, x2, y2 = start.x + WIDTH, start.middle, end.x, end.middle
    bend = (x1 + x2) // 2
    label = ", ".join(relation.by) or relation.cardinality
    return (
        f'<path d="M{x1} {y1} C{bend} {y1} {bend} {y2} {x2} {y2}" fill="none" stroke="#57606a"/>'
        f'<path d="M{x2 - 10} {y2} L{x2} {y2 - 6} M{x2 - 10} {y2} L{x2} {y2 + 6}" stroke="#57606a"/>'
        f'<text x="{bend}" y="{(y1 + y2) // 2 - 4}" text-anchor="middle" fill="#57606a" font-size="11">'
        f"{escape(_cut(label, 16))}</text>"
    )


def _first(entity: Entity, shown: int) -> list[Attribute]:
    """Keys before the others, each in the model's order."""
    return sorted(entity.attributes, key=lambda one: not one.key)[:shown]


def _own_path(one: Attribute, entity: Entity) -> str:
    return one.path.removeprefix(f"{entity.path}[].") if entity.path else one.path


def _word(text: str) -> str:
    return re.sub(r"\W+", "_", text).strip("_") or "x"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "'").replace("\n", " ") + '"'


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
