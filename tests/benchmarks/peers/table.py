"""What the rounds say together: the median of each figure, with the least and the most, and our ratio."""

from __future__ import annotations

from statistics import median
from typing import Any

from tests.benchmarks.peers.catalogue import Row

Figures = dict[str, Any]
WIDTHS = (34, 12, 24, 17, 10, 7, 8, 10, 8, 6)
HEADS = (
    "",
    "version",
    "executions/s (min–max)",
    "CPU ms (+server)",
    "alone ms",
    "cold s",
    "idle MB",
    "ours ÷ it",
    "target",
    "met",
)


def summary(rounds: list[Figures]) -> Figures:
    """Medians of the rounds that gave figures; the reason of the last one where none did."""
    good = [figures for figures in rounds if "why" not in figures]
    if not good:
        return {"why": rounds[-1]["why"] if rounds else "no time was left"}
    return {
        **{name: middle([figures[name] for figures in good]) for name in good[0] if name not in ("version", "records")},
        "rates": [figures["rate"] for figures in good],
        "failed": [figures["why"] for figures in rounds if "why" in figures],
        "version": good[-1]["version"],
        "records": good[-1]["records"],
    }


def middle(values: list[float | None]) -> float | None:
    numbers = [value for value in values if value is not None]
    return median(numbers) if numbers else None


def compared(rows: list[Row], rounds: dict[str, list[Figures]]) -> dict[str, Figures]:
    """Row's name -> its summary, and for a peer our ratio and whether the target is met."""
    result = {row.name: summary(rounds[row.name]) for row in rows}
    for row in rows:
        ours = result.get(row.beside, {}).get("rate")  # ours on PostgreSQL may stand alone
        theirs = result[row.name].get("rate")
        if not row.is_ours and ours and theirs:
            ratio = ours / theirs
            met = None if row.target is None else ratio >= row.target
            result[row.name] |= {"ratio": ratio, "target": row.target, "met": met}
    return result


def table(rows: list[Row], result: dict[str, Figures]) -> str:
    lines = [line(*HEADS)]
    lines += [shown(row, result[row.name]) for row in rows]
    lines += ["", "What it records, and what a COMMIT waits for:"]
    lines += [f"  {row.label:32}  {result[row.name]['records']}" for row in rows if "records" in result[row.name]]
    return "\n".join(lines)


def shown(row: Row, figures: Figures) -> str:
    if "why" in figures:
        return f"{row.label:{WIDTHS[0]}} no figures: {figures['why']}"
    server = f" +{figures['server_cpu_ms']:.3g}" if figures["server_cpu_ms"] is not None else ""
    least, most = min(figures["rates"]), max(figures["rates"])
    return line(
        row.label,
        figures["version"],
        f"{number(figures['rate'])} ({number(least)}–{number(most)})",
        f"{figures['cpu_ms']:.3g}{server}",
        f"{figures['alone_ms']:.3g}",
        f"{figures['cold_s']:.2g}",
        f"{figures['idle_mb']:.0f}",
        f"{figures['ratio']:.3g}×" if "ratio" in figures else "",
        f"{row.target:,.0f}×" if row.target else "",
        {True: "yes", False: "no"}.get(figures.get("met"), ""),  # type: ignore[arg-type]
    )


def line(*cells: str) -> str:
    first, *others = (
        f"{cell:<{width}}" if n < 2 else f"{cell:>{width}}"
        for n, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    return " ".join([first, *others]).rstrip()


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
