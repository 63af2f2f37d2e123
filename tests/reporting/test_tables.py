"""Tables on the terminal and as Markdown."""

from __future__ import annotations

import io

from rich.console import Console

from rewardsmith.reporting import comparisons_table, domains_table, notes_list, sets_table, to_markdown, to_rich
from rewardsmith.reporting.format import decimal, percent, percent_with_interval
from rewardsmith.reporting.tables import Table


def printed(table: Table, width: int = 200) -> str:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(to_rich(table))
    return out.getvalue()


def test_every_set_and_model_has_a_row(result):
    table = sets_table(result)
    assert [row[:2] for row in table.rows] == [
        (name, model) for name in ("helpful_and_harmless test", "mine") for model in ("general", "custom [v2]")
    ]
    figures = result.models[1].sets["mine"]
    row = dict(zip(table.columns, table.rows[3], strict=True))
    assert row["accuracy % [95%]"] == percent_with_interval(figures.accuracy, figures.ci95)
    assert row["w/o plain %"] == "-"
    assert row["ECE"] == decimal(figures.ece) and row["NLL"] == decimal(figures.nll)
    assert row["bag of words %"] == percent(figures.baselines["bag_of_words"].accuracy)


def test_one_model_needs_no_column_of_models(one_model):
    table = sets_table(one_model)
    assert table.title == "general" and table.columns[:2] == ("set", "prompts")


def test_domains_and_their_mean(result):
    table = domains_table(result.models[0])
    assert [row[1] for row in table.rows] == ["academy", "business", "mean of domains"]
    assert table.rows[2][4] == percent(result.models[0].sets["mine"].mean_domain_accuracy)
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_no_table_without_rows(nothing):
    assert domains_table(nothing.models[0]) is None
    assert comparisons_table([]) is None
    assert sets_table(nothing).rows[0][3:6] == ("-", "-", "-")


def test_brackets_in_names_are_no_markup(result):
    text = printed(sets_table(result))
    assert "custom [v2]" in text and "95%" in text
    assert "custom [v2]" in printed(comparisons_table(result.comparisons))


def test_figures_are_not_broken_on_a_narrow_terminal(one_model):
    figures = one_model.models[0].sets["mine"]
    assert percent_with_interval(figures.accuracy, figures.ci95) in printed(sets_table(one_model), width=110)


def test_markdown(result):
    lines = to_markdown(comparisons_table(result.comparisons)).splitlines()
    assert lines[0] == "| set | A | B | prompts | A - B, points [95%] | p |"
    assert lines[1] == "| :-- | :-- | :-- | --: | --: | --: |"
    assert len(lines) == 2 + len(result.comparisons)
    assert to_markdown(Table("t", ("a|b",), (("x\ny",),))) == "| a\\|b |\n| :-- |\n| x y |\n"


def test_notes_say_where_they_belong_and_only_once(result, nothing):
    lines = notes_list(result)
    assert len(lines) == len(set(lines))
    assert any(line.startswith("mine, academy: ") for line in lines)
    assert notes_list(nothing) == [f"empty: {note}" for note in nothing.models[0].sets["empty"].notes]
