"""The one place where figures become text: tables, plots and the report call it, so that figures read alike.

Shares print as percent with one decimal and no sign (the column says %); an undefined figure prints as a dash.
"""

from __future__ import annotations

UNDEFINED = "-"


def percent(share: float | None) -> str:
    """0.8123 -> `81.2`."""
    return UNDEFINED if share is None else f"{100 * share:.1f}"


def signed_percent(difference: float | None) -> str:
    """0.0312 -> `+3.1`, in points; a difference that rounds to nothing has no sign."""
    if difference is None:
        return UNDEFINED
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def percent_with_interval(share: float | None, interval: tuple[float, float] | None) -> str:
    """`81.2 [79.0, 83.1]`, or the figure alone when there is no interval."""
    if share is None or interval is None:
        return percent(share)
    return f"{percent(share)} [{percent(interval[0])}, {percent(interval[1])}]"


def difference_with_interval(difference: float | None, interval: tuple[float, float] | None) -> str:
    """`+3.1 [+0.4, +5.9]`."""
    if difference is None or interval is None:
        return signed_percent(difference)
    return f"{signed_percent(difference)} [{signed_percent(interval[0])}, {signed_percent(interval[1])}]"


def decimal(value: float | None, digits: int = 3) -> str:
    """0.04567 -> `0.046`."""
    return UNDEFINED if value is None else f"{value:.{digits}f}"


def decimal_with_interval(value: float | None, interval: tuple[float, float] | None, digits: int = 3) -> str:
    """`0.046 [0.012, 0.071]`, or the figure alone when there is no interval."""
    if value is None or interval is None:
        return decimal(value, digits)
    return f"{decimal(value, digits)} [{decimal(interval[0], digits)}, {decimal(interval[1], digits)}]"


def p_value(p: float | None) -> str:
    """0.0312 -> `0.031`; below a thousandth only that."""
    if p is None:
        return UNDEFINED
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def count(n: int) -> str:
    """12345 -> `12,345`."""
    return f"{n:,}"
