"""A benchmark's result as a table and sentences."""

from __future__ import annotations

from rewardsmith.evaluation.benchmarks.result import BenchmarkResult, Figure, Published, Rank, Section
from rewardsmith.reporting.benchmark import benchmark_table, sentences


def result(**changes: object) -> BenchmarkResult:
    whole = BenchmarkResult(
        suite="rm-bench",
        model="mine",
        overall=Figure(score=0.75, ci95=(0.7, 0.8), n_prompts=1327),
        sections={"Chat": Section(score=0.5, ci95=None, n_prompts=129)},
        details={"Hard": Figure(score=0.25, ci95=(0.2, 0.3), n_prompts=1327)},
        n_rows=1327,
        n_responses=7962,
        fingerprint="f",
        n_seen=None,
        notes=["a note"],
    )
    return whole.model_copy(update=changes)


def test_rows_are_sections_details_and_the_whole() -> None:
    assert benchmark_table(result()).rows == (
        ("Chat", "50.0", "129"),
        ("Hard", "25.0 [20.0, 30.0]", "1,327"),
        ("overall", "75.0 [70.0, 80.0]", "1,327"),
    )
    assert [row[0] for row in benchmark_table(result(overall=None)).rows] == ["Chat", "Hard"]


def test_rank_in_words() -> None:
    better, worse = Published(model="best", score=0.9), Published(model="last", score=0.6)

    def said(**fields: object) -> str:
        rank = {"position": 2, "listed": 2, "above": better, "below": worse, "source": "S", "date": "2025"}
        return sentences(result(rank=Rank.model_validate(rank | fields)))[0]

    assert said() == "would rank between best (90.0) and last (60.0), 1 of the 2 listed models are better (S; 2025)"
    assert said(above=None, position=1) == "would rank above all 2 listed models (S; 2025)"
    assert said(below=None, position=3) == "would rank below all 2 listed models, next to best (90.0) (S; 2025)"
    assert sentences(result())[0] == "no published scores are known to rank it by"
    assert sentences(result(overall=None))[0] == "the suite has no overall score to rank by"


def test_leakage_in_words() -> None:
    assert "cannot be known" in sentences(result())[1]
    assert sentences(result(n_seen=0))[1].startswith("none of the 1,327 rows")
    assert "of 3 of the 1,327 rows" in sentences(result(n_seen=3))[1]
    assert sentences(result())[-1] == "a note"
