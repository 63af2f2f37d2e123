"""The audit for a terminal: fails first, a colour and a word for each grade."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rewardsmith.preferences.audit import AuditReport

if TYPE_CHECKING:
    from rich.table import Table

_STYLE = {"good": "green", "warn": "yellow", "fail": "bold red"}


def audit_text(report: AuditReport) -> Table:
    """One row for each finding, the worst first."""
    from rich.table import Table
    from rich.text import Text

    order = list(_STYLE)[::-1]
    title = f"{report.records} records, {report.prompts} prompts, {report.pairs} pairs that rank something"
    table = Table(title=title, title_justify="left")
    exemplified = any(finding.examples for finding in report.findings)
    for column in ("grade", "check", "finding", *(["for example"] if exemplified else [])):
        table.add_column(column, overflow="fold")
    for finding in sorted(report.findings, key=lambda f: order.index(f.grade)):
        examples = [", ".join(finding.examples[:2])] if exemplified else []
        table.add_row(Text(finding.grade, style=_STYLE[finding.grade]), finding.check, finding.message, *examples)
    return table
