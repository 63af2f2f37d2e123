"""Results for people: tables, plots and learning curves. Reads evaluation's typed results and a run's metrics only."""

from rewardsmith.reporting.curves import plot_learning_curves
from rewardsmith.reporting.metrics_file import MetricPoint, read_metrics
from rewardsmith.reporting.plots import plot_accuracy, plot_calibration, plot_margins
from rewardsmith.reporting.tables import (
    Table,
    comparisons_table,
    domains_table,
    notes_list,
    sets_table,
    to_markdown,
    to_rich,
)

__all__ = [
    "MetricPoint",
    "Table",
    "comparisons_table",
    "domains_table",
    "notes_list",
    "plot_accuracy",
    "plot_calibration",
    "plot_learning_curves",
    "plot_margins",
    "read_metrics",
    "sets_table",
    "to_markdown",
    "to_rich",
]
