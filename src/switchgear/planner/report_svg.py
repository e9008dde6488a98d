"""Plots as inline SVG, written here: no script, no font, no file beside the page. Colours are the page's CSS variables."""

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final, NamedTuple

from switchgear.planner.report_text import short_usd

_WIDTH: Final = 720
_LABELS: Final = 150
_ROW: Final = 34
_AXIS: Final = 34


class Bar(NamedTuple):
    """One row of bars: `parts` beside each other, from zero to the right (negative ones to the left)."""

    label: str
    parts: Sequence[tuple[str, float]]
    """Series and value."""
    span: tuple[float, float] | None = None
    """How sure: a line from the one to the other."""


class Box(NamedTuple):
    """One row: the middle, half of all, nine tenths of all."""

    label: str
    p5: float
    p25: float
    p50: float
    p75: float
    p95: float


class Swing(NamedTuple):
    """One row of a tornado."""

    label: str
    low: float
    high: float


class _Scale:
    """Values to pixels."""

    def __init__(self, low: float, high: float, left: float, right: float) -> None:
        if low == high:
            low, high = low - 1.0, high + 1.0
        self.ticks = _ticks(low, high)
        self.low, self.high = min(low, self.ticks[0]), max(high, self.ticks[-1])
        self._left, self._right = left, right

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self._left + share * (self._right - self._left), 1)


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, five or so, that reach from at or below `low` to at or above `high`."""
    rough = (high - low) / 4
    power = 10 ** floor(log10(rough))
    step = next(size * power for size in (1, 2, 2.5, 5, 10) if size * power >= rough)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def bars(title: str, rows: Sequence[Bar], series: Sequence[str]) -> str:
    """Stacked bars, one row for each option, with a legend where there are several series."""
    ends = [sum(max(value, 0.0) for _, value in row.parts) for row in rows]
    starts = [sum(min(value, 0.0) for _, value in row.parts) for row in rows]
    spans = [edge for row in rows if row.span for edge in row.span]
    scale = _Scale(min(0.0, *starts, *spans, 0.0), max(*ends, *spans, 0.0), _LABELS, _WIDTH - 60)
    top = 0 if len(series) < 2 else 26 * ((len(series) + 3) // 4)
    body = [_legend(series)] if top else []
    for index, row in enumerate(rows):
        y = top + index * _ROW
        body.append(_label(row.label, y))
        right = left = 0.0
        for name, value in row.parts:
            if not value:
                continue
            begin = right if value > 0 else left + value
            x = scale(begin)
            width = max(0.0, scale(begin + abs(value)) - x - 1)
            tip = f"{row.label}, {name}: {short_usd(value)}"
            body.append(
                f'<rect class="s{series.index(name)}" x="{x}" y="{y + 7}" width="{width:.1f}" height="18" rx="2">'
                f"<title>{escape(tip)}</title></rect>"
            )
            right, left = (right + value, left) if value > 0 else (right, left + value)
        if row.span:
            body.append(_whisker(scale, row.span, y + 16))
        total = right + left
        end = max(scale(right), scale(row.span[1]) if row.span else 0.0)
        body.append(f'<text class="v" x="{end + 6:.1f}" y="{y + 20}">{short_usd(total)}</text>')
    return _svg(title, body, _axis(scale, top, top + len(rows) * _ROW), top + len(rows) * _ROW + _AXIS)


def boxes(title: str, rows: Sequence[Box]) -> str:
    """Spread of each option: a line for nine tenths of all draws, a box for half of them, a mark for the middle."""
    scale = _Scale(min(0.0, *(row.p5 for row in rows)), max(0.0, *(row.p95 for row in rows)), _LABELS, _WIDTH - 20)
    body = []
    for index, row in enumerate(rows):
        y = index * _ROW + 16
        tip = f"{row.label}: P5 {short_usd(row.p5)}, median {short_usd(row.p50)}, P95 {short_usd(row.p95)}"
        body.append(_label(row.label, index * _ROW))
        body.append(_whisker(scale, (row.p5, row.p95), y))
        body.append(
            f'<rect class="s0 soft" x="{scale(row.p25)}" y="{y - 9}" width="{scale(row.p75) - scale(row.p25):.1f}" height="18" rx="3">'
            f"<title>{escape(tip)}</title></rect>"
        )
        x = scale(row.p50)
        body.append(f'<line class="middle" x1="{x}" x2="{x}" y1="{y - 9}" y2="{y + 9}"/>')
    height = len(rows) * _ROW
    return _svg(title, body, _axis(scale, 0, height), height + _AXIS)


def tornado(title: str, rows: Sequence[Swing], centre: float) -> str:
    """What each assumption does alone: from its 10th to its 90th percentile, all others at their median."""
    edges = [edge for row in rows for edge in (row.low, row.high)]
    scale = _Scale(min(centre, *edges), max(centre, *edges), _LABELS + 110, _WIDTH - 20)
    body = []
    middle = scale(centre)
    for index, row in enumerate(rows):
        y = index * _ROW
        body.append(_label(row.label, y, _LABELS + 100))
        for value, series, word in ((row.low, 1, "P10"), (row.high, 0, "P90")):
            x, width = min(middle, scale(value)), abs(scale(value) - middle)
            body.append(
                f'<rect class="s{series}" x="{x}" y="{y + 8}" width="{width:.1f}" height="16" rx="2">'
                f"<title>{escape(f'{row.label} at its {word}: {short_usd(value)}')}</title></rect>"
            )
    height = len(rows) * _ROW
    body.append(f'<line class="middle" x1="{middle}" x2="{middle}" y1="0" y2="{height}"/>')
    legend = f'<g transform="translate(0 {height + _AXIS})">{_legend(["at its P90", "at its P10"])}</g>'
    return _svg(title, [*body, legend], _axis(scale, 0, height), height + _AXIS + 26)


def lines(title: str, rows: Sequence[tuple[str, Sequence[float]]], unit: str) -> str:
    """Running sums over the years, one line for each option, named at its end."""
    left, right, top, bottom = 64, _WIDTH - 130, 10, 250
    values = [value for _, points in rows for value in points]
    scale = _Scale(min(0.0, *values), max(0.0, *values), bottom, top)
    years = max(len(points) for _, points in rows) - 1
    body = []
    for tick in scale.ticks:
        y = scale(tick)
        body.append(
            f'<line class="{"zero" if abs(tick) < 1e-9 else "grid"}" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
        )
        body.append(f'<text class="t" x="{left - 8}" y="{y + 4}" text-anchor="end">{short_usd(tick)}</text>')
    step = (right - left) / max(years, 1)
    for year in range(years + 1):
        body.append(
            f'<text class="t" x="{left + year * step:.1f}" y="{bottom + 22}" text-anchor="middle">{year}</text>'
        )
    body.append(
        f'<text class="t" x="{(left + right) / 2}" y="{bottom + 42}" text-anchor="middle">{escape(unit)}</text>'
    )
    taken: list[float] = []
    for index, (name, points) in sorted(enumerate(rows), key=lambda item: scale(item[1][1][-1])):
        path = " ".join(f"{left + year * step:.1f},{scale(value)}" for year, value in enumerate(points))
        body.append(f'<polyline class="l{index}" points="{path}"><title>{escape(name)}</title></polyline>')
        y = max(scale(points[-1]) + 4, (taken[-1] + 16) if taken else 0.0)
        taken.append(y)
        body.append(f'<circle class="s{index}" cx="{right}" cy="{scale(points[-1])}" r="4"/>')
        body.append(f'<text class="v" x="{right + 10}" y="{y:.1f}">{escape(name)}</text>')
    return _svg(title, body, [], bottom + 50)


def _label(text: str, y: float, width: int = _LABELS) -> str:
    most = (width - 10) // 8  # a letter of 13 px is about 8 px wide in the widest of the fonts
    shown = text if len(text) <= most else f"{text[: most - 1]}…"
    return f'<text class="n" x="{width - 10}" y="{y + 20}" text-anchor="end">{escape(shown)}<title>{escape(text)}</title></text>'


def _whisker(scale: _Scale, span: tuple[float, float], y: float) -> str:
    left, right = scale(span[0]), scale(span[1])
    ends = "".join(f'<line class="whisker" x1="{x}" x2="{x}" y1="{y - 4}" y2="{y + 4}"/>' for x in (left, right))
    return f'<line class="whisker" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>{ends}'


def _axis(scale: _Scale, top: float, bottom: float) -> list[str]:
    parts = []
    for tick in scale.ticks:
        x = scale(tick)
        kind = "zero" if abs(tick) < 1e-9 else "grid"
        parts.append(f'<line class="{kind}" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>')
        parts.append(f'<text class="t" x="{x}" y="{bottom + 18}" text-anchor="middle">{short_usd(tick)}</text>')
    return parts


def _legend(series: Sequence[str]) -> str:
    items = []
    for index, name in enumerate(series):
        x, y = 4 + (index % 4) * 178, 4 + (index // 4) * 24
        items.append(f'<rect class="s{index}" x="{x}" y="{y}" width="12" height="12" rx="2"/>')
        items.append(f'<text class="t" x="{x + 18}" y="{y + 11}">{escape(name)}</text>')
    return "".join(items)


def _svg(title: str, body: Sequence[str], below: Sequence[str], height: float) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"{''.join(below)}{''.join(body)}</svg>"
    )
