"""Figures, the goals they are held against, and how they are shown. Nothing is measured here."""

import statistics
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import attrs

__all__ = ["Figure", "Goal", "Unit", "Verdict", "as_json", "quartiles", "table"]


class Unit(StrEnum):
    """What a figure counts, and so how it is written."""

    TIMES = "times"
    SHARE = "share"
    """A part of what the peer takes, shown as ``1/8.9``."""
    MEBIBYTES = "MiB"
    BYTES = "bytes"

    def text(self, value: float) -> str:
        """Return a value as it stands in a table."""
        match self:
            case Unit.SHARE:
                return f"1/{1 / value:.3g}" if value > 0 else f"{value:.2f}"
            case Unit.TIMES:
                return f"{value:.1f} x" if abs(value) >= 10 else f"{value:.2f} x"
            case Unit.MEBIBYTES:
                return f"{value:.1f} MiB"
        return f"{value:.0f} bytes"


class Verdict(StrEnum):
    """How a figure stands to its goal."""

    MISSED = "missed"
    REACHED = "reached"
    STRETCH = "reached, stretch too"


@attrs.frozen(kw_only=True)
class Goal:
    """What a figure is to reach."""

    to_reach: float
    stretch: float | None = None
    at_least: bool = False
    """Whether more is better."""

    def verdict(self, value: float) -> Verdict:
        """Return how a value stands to this goal; on the line is reached."""
        if not self._holds(value, self.to_reach):
            return Verdict.MISSED
        return Verdict.STRETCH if self.stretch is not None and self._holds(value, self.stretch) else Verdict.REACHED

    def _holds(self, value: float, line: float) -> bool:
        return value >= line if self.at_least else value <= line


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the lower quartile, the median and the upper quartile; a single value is all three."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def _not_empty(_instance: Any, field: "attrs.Attribute[Any]", value: Sequence[float]) -> None:
    if not value:
        raise ValueError(f"{field.name} is empty: a figure needs at least one sample")


@attrs.frozen(kw_only=True)
class Figure:
    """One line of a table: the median of what the pairs gave."""

    row: str
    """The row of the table of goals, such as ``4``; several figures may belong to one."""
    name: str
    samples: tuple[float, ...] = attrs.field(validator=_not_empty)
    unit: Unit = Unit.TIMES
    goal: Goal | None = None
    """``None`` for a figure that only explains another."""

    @property
    def value(self) -> float:
        """The median."""
        return quartiles(self.samples)[1]

    @property
    def verdict(self) -> Verdict | None:
        """How the median stands to the goal."""
        return None if self.goal is None else self.goal.verdict(self.value)

    def cells(self, *, judged: bool) -> tuple[str, ...]:
        """Return the cells of this figure's line."""
        low, middle, high = quartiles(self.samples)
        text, goal = self.unit.text, self.goal
        sign = "" if goal is None else ">= " if goal.at_least else "<= "
        return (
            self.row,
            self.name,
            text(middle),
            f"{text(low)} to {text(high)}",
            str(len(self.samples)),
            f"{sign}{text(goal.to_reach)}" if goal is not None else "",
            text(goal.stretch) if goal is not None and goal.stretch is not None else "",
            (self.verdict or "") if judged else "",
        )


_HEADINGS = ("row", "what", "median", "quartiles", "pairs", "to reach", "stretch", "verdict")


def table(figures: Sequence[Figure], *, judged: bool = True) -> str:
    """Return the figures as a Markdown table.

    Args:
        figures: The lines.
        judged: Whether to give verdicts; figures of a smoke run deserve none.
    """
    lines = [_HEADINGS, ("---",) * len(_HEADINGS), *(figure.cells(judged=judged) for figure in figures)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def as_json(figure: Figure) -> dict[str, Any]:
    """Return a figure as JSON has it, every sample included."""
    low, middle, high = quartiles(figure.samples)
    goal = figure.goal
    return {
        "row": figure.row,
        "name": figure.name,
        "unit": figure.unit,
        "lower_quartile": low,
        "median": middle,
        "upper_quartile": high,
        "pairs": len(figure.samples),
        "samples": list(figure.samples),
        "goal": None if goal is None else attrs.asdict(goal),
        "verdict": figure.verdict,
    }
