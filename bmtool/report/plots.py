"""Drawings as SVG text: loss curves, confusion matrices, intervals. Colours come from the page, light or dark."""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bmtool.report.tables import cell_width, cut, show

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WIDTH = 900
COLORS = 6

#: With more classes than this, counts no longer fit into the cells of a confusion matrix.
MOST_COUNTED_CLASSES = 20


@dataclass(frozen=True)
class Line:
    """A curve: points in the order of x. A value that isn't finite is a gap."""

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    faint: bool = False
    """Drawn thin, such as the noisy loss of single training steps."""


@dataclass(frozen=True)
class Interval:
    """A measured value with its interval, such as one metric of the model or of a baseline."""

    name: str
    value: float
    low: float
    high: float
    strong: bool = False


def line_chart(lines: Sequence[Line], *, x_label: str, y_label: str, log: bool = False) -> str:
    """Curves over a common x axis; with `log` the y axis is logarithmic and values up to 0 are gaps."""
    runs = [_finite(line, log=log) for line in lines]
    every = [point for line in runs for run in line for point in run]
    if not every:
        return _svg(80, [_label(WIDTH / 2, 44, "nothing was measured", "middle", "soft")], y_label)
    frame = _Frame(
        xs=(min(x for x, _ in every), max(x for x, _ in every)),
        ticks=_log_ticks(every) if log else _ticks(min(y for _, y in every), max(y for _, y in every)),
        log=log,
    )
    parts = frame.axes(x_label)
    for index, (line, pieces) in enumerate(zip(lines, runs, strict=True)):
        parts += _curve(index, line, [[frame.place(x, y) for x, y in piece] for piece in pieces])
    legend = _legend([line.name for line in lines], frame.left)
    return _svg(frame.height, [*parts, *legend], f"{y_label} by {x_label}")


@dataclass(frozen=True)
class _Frame:
    """The drawing area of a line chart: where a point lies, and the axes around it."""

    xs: tuple[float, float]
    ticks: Sequence[float]
    log: bool
    left: int = 56
    right: int = WIDTH - 14
    top: int = 34
    height: int = 320

    @property
    def bottom(self) -> int:
        return self.height - 44

    def place(self, x: float, y: float) -> tuple[float, float]:
        scale = math.log10 if self.log else float
        low, high = scale(self.ticks[0]), scale(self.ticks[-1])
        across = (x - self.xs[0]) / (self.xs[1] - self.xs[0]) if self.xs[1] > self.xs[0] else 0.5
        up = (scale(y) - low) / (high - low)
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)

    def axes(self, x_label: str) -> list[str]:
        parts = []
        for tick in self.ticks:
            y = self.place(self.xs[0], tick)[1]
            parts.append(f'<line class="grid" x1="{self.left}" y1="{y:.1f}" x2="{self.right}" y2="{y:.1f}"/>')
            parts.append(_label(self.left - 8, y + 4, _tick(tick), "end", "soft"))
        inside = [tick for tick in _ticks(*self.xs) if self.xs[0] <= tick <= self.xs[1]]
        at = [self.place(tick, self.ticks[0])[0] for tick in inside]
        parts += [
            _label(x, self.bottom + 18, _tick(tick), "middle", "soft") for x, tick in zip(at, inside, strict=True)
        ]
        return [*parts, _label((self.left + self.right) / 2, self.height - 6, x_label, "middle", "soft")]


def _finite(line: Line, *, log: bool) -> list[list[tuple[float, float]]]:
    """The curve's unbroken runs of finite points."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(line.xs, line.ys, strict=True):
        if math.isfinite(x) and math.isfinite(y) and (y > 0 or not log):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _curve(index: int, line: Line, runs: list[list[tuple[float, float]]]) -> list[str]:
    faint = " faint" if line.faint else ""
    color = index % COLORS
    parts = []
    for run in runs:
        if len(run) == 1:
            parts.append(f'<circle class="f{color}" cx="{run[0][0]:.1f}" cy="{run[0][1]:.1f}" r="3"/>')
        else:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in _thin(run))
            parts.append(f'<polyline class="curve k{color}{faint}" points="{path}"/>')
    return parts


def _thin(run: list[tuple[float, float]], most: int = 1000) -> list[tuple[float, float]]:
    """At most about `most` points: of each stretch its lowest and highest stay, so that no spike is lost."""
    size = math.ceil(2 * len(run) / most)
    if size <= 2:
        return run
    kept = []
    for start in range(0, len(run), size):
        stretch = run[start : start + size]
        kept += sorted({min(stretch, key=lambda p: p[1]), max(stretch, key=lambda p: p[1])})
    return [*([run[0]] if kept[0] != run[0] else []), *kept, *([run[-1]] if kept[-1] != run[-1] else [])]


def _legend(names: Sequence[str], left: float) -> list[str]:
    parts, x = [], left
    for index, name in enumerate(names):
        short = cut(name, 40)
        parts.append(f'<line class="curve k{index % COLORS}" x1="{x}" y1="14" x2="{x + 18}" y2="14"/>')
        parts.append(_label(x + 24, 18, short, "start"))
        x += 44 + 7 * cell_width(short)
    return parts


def confusion_matrix(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Reference (rows) against prediction (columns); a cell is as dark as its share of the row, and holds the count."""
    size = len(labels)
    longest = max((min(cell_width(label), 18) for label in labels), default=0)
    left, top = 44 + 8 * longest, 40 + 5.6 * longest
    cell = min(64.0, (WIDTH - left - 5.6 * longest) / max(size, 1))
    turned = f"translate(12 {top + size * cell / 2:.1f}) rotate(-90)"
    parts = [
        _label(left + size * cell / 2, 14, "predicted", "middle", "soft"),
        f'<text class="soft" text-anchor="middle" transform="{turned}">reference</text>',
    ]
    for i, label in enumerate(labels):
        short = _escape(cut(label, 18))
        middle = (i + 0.5) * cell
        parts.append(f'<text text-anchor="end" x="{left - 8:.1f}" y="{top + middle + 4:.1f}">{short}</text>')
        across = f"translate({left + middle + 4:.1f} {top - 8:.1f}) rotate(-45)"
        parts.append(f'<text transform="{across}">{short}</text>')
    for i, row in enumerate(counts):
        total = sum(row)
        for j, count in enumerate(row):
            share = count / total if total else 0.0
            about = f"{labels[i]} taken for {labels[j]}: {count:,} of {total:,} ({share:.0%})"
            parts += _square(
                left + j * cell, top + i * cell, cell, share, count, about, show_count=size <= MOST_COUNTED_CLASSES
            )
    return _svg(top + size * cell + 8, parts, "confusion matrix")


def _square(x: float, y: float, cell: float, share: float, count: int, about: str, *, show_count: bool) -> list[str]:
    inner = cell - 2 if cell > 8 else cell - 0.5
    box = f'x="{x:.1f}" y="{y:.1f}" width="{inner:.1f}" height="{inner:.1f}" rx="2"'
    shade = f'fill-opacity="{0.05 + 0.95 * share:.3f}"'
    parts = [f'<rect class="heat" {box} {shade}><title>{_escape(about)}</title></rect>']
    if show_count and count:
        style = "on-heat" if share > 0.7 else ""
        parts.append(
            _label(x + inner / 2, y + inner / 2 + 4, f"{count:,}" if cell > 34 else str(count), "middle", style)
        )
    return parts


def interval_chart(items: Sequence[Interval], *, x_label: str) -> str:
    """A dot and a whisker for each item, one below the other on a common axis."""
    left, right, top, row = 30 + 7 * max((min(cell_width(item.name), 28) for item in items), default=0), 220, 8, 30
    finite = [v for item in items for v in (item.low, item.value, item.high) if math.isfinite(v)]
    ticks = _ticks(min(finite, default=0.0), max(finite, default=1.0))
    bottom = top + row * len(items)

    def place(value: float) -> float:
        return left + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (WIDTH - left - right)

    parts = []
    for tick in ticks:
        x = place(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(_label(x, bottom + 16, _tick(tick), "middle", "soft"))
    parts.append(_label((left + WIDTH - right) / 2, bottom + 36, x_label, "middle", "soft"))
    for index, item in enumerate(items):
        parts += _whisker(item, top + (index + 0.5) * row, left, place)
    return _svg(bottom + 44, parts, x_label)


def _whisker(item: Interval, y: float, left: float, place: Callable[[float], float]) -> list[str]:
    color, style = (0, "strong") if item.strong else (5, "")
    parts = [_label(left - 14, y + 4, cut(item.name, 28), "end", style)]
    if math.isfinite(item.value):
        text = (
            f"{show(item.value)} ({show(item.low)} to {show(item.high)})"
            if math.isfinite(item.low)
            else show(item.value)
        )
        parts.append(_label(WIDTH, y + 4, text, "end", style or "soft"))
        if math.isfinite(item.low) and math.isfinite(item.high):
            low, high = place(item.low), place(item.high)
            parts.append(f'<line class="curve k{color}" x1="{low:.1f}" y1="{y}" x2="{high:.1f}" y2="{y}"/>')
        parts.append(f'<circle class="f{color}" cx="{place(item.value):.1f}" cy="{y}" r="5"/>')
    return parts


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers whose first and last enclose [low, high]."""
    if high <= low:
        spread = abs(low) * 0.1 or 0.5
        low, high = low - spread, high + spread
    rough = (high - low) / 4
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * i for i in range(first, last + 1)]


def _log_ticks(points: Sequence[tuple[float, float]]) -> list[float]:
    """1, 2 and 5 times powers of ten that enclose the values."""
    low, high = min(y for _, y in points), max(y for _, y in points)
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    steps = [m * 10.0**p for p in powers for m in (1, 2, 5)]
    first = max(i for i, step in enumerate(steps) if step <= low * (1 + 1e-9))
    last = min(i for i, step in enumerate(steps) if step >= high * (1 - 1e-9))
    last = max(last, first + 1)
    return steps[first : last + 1]


def _tick(value: float) -> str:
    size = abs(value)
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= unit:
            return f"{value / unit:.6g}{letter}"
    return f"{value:.6g}"


def _label(x: float, y: float, text: str, anchor: str, style: str = "") -> str:
    name = f' class="{style}"' if style else ""
    return f'<text{name} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_escape(text)}</text>'


def _escape(text: str) -> str:
    return html.escape(text, quote=True)


def _svg(height: float, parts: Sequence[str], about: str) -> str:
    head = f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{_escape(about)}">'
    return head + "\n" + "\n".join(parts) + "\n</svg>"
