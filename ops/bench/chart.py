"""Draw a chart as SVG: the same file for the same numbers, readable on light and on dark."""

import math
from collections.abc import Sequence
from html import escape

from ops.bench.report import Chart, Series, shown

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 76, 40, 52, 56
FEW = 24
"""Up to so many points of a line are marked each."""

# Told apart by eyes that see few colours, and by the dashes besides.
_LINES = (
    ("#0062a8", "#5fb4ff", ""),
    ("#b84a00", "#ff9d5c", "7 3"),
    ("#00734f", "#3fd0a0", "2 3"),
    ("#9a3b78", "#f09ad0", "9 3 2 3"),
    ("#6b5b00", "#e0c94a", "4 2"),
    ("#444444", "#c8c8c8", "1 2"),
)


def draw(chart: Chart) -> str:
    """Draw it; the vertical axis begins at 0.

    Raises: ValueError if there is no point in it.
    """
    xs = [x for series in chart.series for x in series.x]
    ys = [y for series in chart.series for y in series.y]
    if not xs:
        raise ValueError(f"The chart {chart.name!r} has no points.")
    x_ticks = _decades(xs) if chart.is_x_log else _steps(min(xs), max(xs))
    y_ticks = _steps(0.0, max(*ys, 0.0))
    across = _Axis(x_ticks, LEFT, WIDTH - RIGHT, chart.is_x_log)
    up = _Axis(y_ticks, HEIGHT - BOTTOM, TOP, is_log=False)
    parts = [*_frame(chart), *_grid(across, up)]
    for number, series in enumerate(chart.series):
        parts += _line(number % len(_LINES), series, across, up)
    parts += _legend(chart.series)
    return "\n".join([*parts, "</svg>\n"])


class _Axis:
    """Turns a number into a place between two ends."""

    def __init__(self, ticks: Sequence[float], begin: float, end: float, is_log: bool) -> None:
        self.ticks = ticks
        self._scale = math.log10 if is_log else float
        self._low, self._high = self._scale(ticks[0]), self._scale(ticks[-1])
        self._begin, self._end = begin, end

    def __call__(self, number: float) -> str:
        part = (self._scale(number) - self._low) / (self._high - self._low)
        return f"{self._begin + part * (self._end - self._begin):.1f}"


def _steps(low: float, high: float) -> list[float]:
    """Give about six round numbers from below `low` to above `high`."""
    if high <= low:
        high = low + 1.0
    rough = (high - low) / 6
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _decades(numbers: Sequence[float]) -> list[float]:
    """Give the powers of ten from below the least number to above the greatest."""
    first, last = math.floor(math.log10(min(numbers))), math.ceil(math.log10(max(numbers)))
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]


def _frame(chart: Chart) -> list[str]:
    light = "".join(f".l{n}{{stroke:{line[0]}}}.m{n}{{fill:{line[0]}}}" for n, line in enumerate(_LINES))
    dark = "".join(f".l{n}{{stroke:{line[1]}}}.m{n}{{fill:{line[1]}}}" for n, line in enumerate(_LINES))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(chart.title)}</title>",
        "<style>"
        "text{font:13px system-ui,sans-serif;fill:#222}.b{fill:#fff}.g{stroke:#ddd}.t{font-weight:600;font-size:15px}"
        f"{light}polyline,.k{{fill:none;stroke-width:2}}"
        "@media(prefers-color-scheme:dark){text{fill:#e4e4e4}.b{fill:#15181c}.g{stroke:#3a3f45}"
        f"{dark}}}</style>",
        f'<rect class="b" width="{WIDTH}" height="{HEIGHT}"/>',
        f'<text class="t" x="{LEFT}" y="20">{escape(chart.title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 12}" text-anchor="middle">{escape(chart.x)}</text>',
        f'<text transform="translate(18 {middle:.0f}) rotate(-90)" text-anchor="middle">{escape(chart.y)}</text>',
    ]


def _grid(across: _Axis, up: _Axis) -> list[str]:
    parts = []
    for tick in up.ticks:
        y = up(tick)
        parts.append(f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y}" dy="4" text-anchor="end">{shown(tick)}</text>')
    for tick in across.ticks:
        x = across(tick)
        parts.append(f'<line class="g" x1="{x}" x2="{x}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{shown(tick)}</text>')
    return parts


def _line(number: int, series: Series, across: _Axis, up: _Axis) -> list[str]:
    points = [(across(x), up(y)) for x, y in zip(series.x, series.y, strict=True)]
    path = " ".join(f"{x},{y}" for x, y in points)
    parts = [f'<polyline class="l{number}"{_dashes(number)} points="{path}"/>']
    if len(points) <= FEW:
        parts += [f'<circle class="m{number}" cx="{x}" cy="{y}" r="3.5"/>' for x, y in points]
    return parts


def _legend(series: Sequence[Series]) -> list[str]:
    parts = []
    x = float(LEFT)
    for number, one in enumerate(series):
        line = number % len(_LINES)
        parts.append(
            f'<line class="k l{line}"{_dashes(line)} x1="{x:.0f}" x2="{x + 26:.0f}" y1="37" y2="37"/>'
        )
        parts.append(f'<text x="{x + 32:.0f}" y="41">{escape(one.what)}</text>')
        x += 56 + 7 * len(one.what)
    return parts


def _dashes(number: int) -> str:
    dashes = _LINES[number][2]
    return f' stroke-dasharray="{dashes}"' if dashes else ""
