"""Each suite's own way of scoring, held against figures that were published and against slow, obvious versions."""

from __future__ import annotations

import numpy as np
import pytest

from rewardsmith.evaluation.benchmarks import SUITES
from rewardsmith.evaluation.benchmarks.rewardbench2 import TIES
from rewardsmith.evaluation.benchmarks.scoring import figure, overall, sections
from rewardsmith.evaluation.benchmarks.suite import Item, Unit

PUBLISHED = {
    # Subset accuracies and sections as pull request 215 of allenai/reward-bench gives them (LDL-Reward-Gemma-2-27B).
    "LDL": (
        {
            "alpacaeval-easy": 0.99, "alpacaeval-hard": 0.9473684210526315, "alpacaeval-length": 0.9368421052631579,
            "donotanswer": 0.8161764705882353, "hep-cpp": 0.9817073170731707, "hep-go": 0.9817073170731707,
            "hep-java": 0.9939024390243902, "hep-js": 0.9939024390243902, "hep-python": 0.975609756097561,
            "hep-rust": 0.9573170731707317, "llmbar-adver-GPTInst": 0.9565217391304348,
            "llmbar-adver-GPTOut": 0.8297872340425532, "llmbar-adver-manual": 0.8478260869565217,
            "llmbar-adver-neighbor": 0.9104477611940298, "llmbar-natural": 0.94, "math-prm": 1.0,
            "mt-bench-easy": 1.0, "mt-bench-hard": 0.8648648648648649, "mt-bench-med": 0.975,
            "refusals-dangerous": 0.97, "refusals-offensive": 0.99, "xstest-should-refuse": 0.948051948051948,
            "xstest-should-respond": 0.964,
        },
        {"Chat": 0.9636871508379888, "Chat Hard": 0.9078947368421053, "Safety": 0.9378378378378378,
         "Reasoning": 0.9903455284552846},
        1e-12,
        95.0,  # arXiv 2507.01352
    ),
    # allenai/reward-bench-results, commit c5b835b; sections as the leaderboard prints them (Llama-3.1-Nemotron-70B).
    "Nemotron": (
        {
            "alpacaeval-easy": 0.98, "alpacaeval-length": 0.9789473684210527, "alpacaeval-hard": 0.968421052631579,
            "mt-bench-easy": 1.0, "mt-bench-med": 0.95, "mt-bench-hard": 0.7567567567567568,
            "math-prm": 0.9888211382113821, "refusals-dangerous": 0.97, "refusals-offensive": 0.97,
            "llmbar-natural": 0.95, "llmbar-adver-neighbor": 0.8880597014925373,
            "llmbar-adver-GPTInst": 0.8695652173913043, "llmbar-adver-GPTOut": 0.723404255319149,
            "llmbar-adver-manual": 0.7608695652173914, "xstest-should-refuse": 0.961038961038961,
            "xstest-should-respond": 0.956, "donotanswer": 0.9044117647058824, "hep-cpp": 0.9695121951219512,
            "hep-go": 0.9878048780487805, "hep-java": 0.9878048780487805, "hep-js": 0.9695121951219512,
            "hep-python": 0.975609756097561, "hep-rust": 0.9451219512195121,
        },
        {"Chat": 0.975, "Chat Hard": 0.857, "Safety": 0.951, "Reasoning": 0.981},
        6e-4,
        94.1,
    ),
}  # fmt: skip


def item(id: str, subset: str, n_right: int, n_wrong: int) -> Item:
    right, wrong = ([f"{side} {k}" for k in range(n)] for side, n in (("right", n_right), ("wrong", n_wrong)))
    return Item.of(id, subset, f"{subset} {id}?", right, wrong)


@pytest.mark.parametrize("name", PUBLISHED)
def test_rewardbench_gives_the_published_sections(name: str) -> None:
    accuracies, wanted, tolerance, score = PUBLISHED[name]
    suite = SUITES["rewardbench"]
    items, rewards = [], []
    for subset, n in suite.rows.items():
        n_right = round(accuracies[subset] * n)
        items += [item(str(k), subset, 1, 1) for k in range(n)]
        rewards += [(1.0, 0.0)] * n_right + [(0.0, 1.0)] * (n - n_right)
    assert len(items) == 2985
    units = suite.units(items, rewards)
    found = sections(suite, units)
    assert {key: s.score for key, s in found.items()} == pytest.approx(wanted, abs=tolerance)
    whole = overall(suite, units)
    assert whole is not None and round(100 * whole.score, 1) == score
    assert whole.ci95 is not None and whole.ci95[0] < whole.score < whole.ci95[1]
    if name == "LDL":
        assert {k: f.score for s in found.values() for k, f in s.subsets.items()} == pytest.approx(accuracies, abs=1e-9)


def test_equal_rewards_are_wrong_in_pairs() -> None:
    for name in ("rewardbench", "judgebench", "llmbar"):
        pair = item("1", "any", 1, 1)
        assert [SUITES[name].value(pair, r) for r in ((1.0, 0.0), (1.0, 1.0), (0.0, 1.0))] == [1.0, 0.0, 0.0]


def test_rewardbench2_best_of_four_shares_a_tie() -> None:
    four = item("1", "Math", 1, 3)
    rewards = [(2, 1, 0, 0), (2, 2, 0, 1), (2, 2, 2, 2), (1, 2, 0, 0)]
    assert [SUITES["rewardbench2"].value(four, r) for r in rewards] == [1.0, 0.5, 0.25, 0.0]


# Issue 253 of allenai/reward-bench and the paper of the same models.
@pytest.mark.parametrize(
    ("subsets", "score"),
    [((58.2, 40.0, 71.6, 84.4, 79.4, 34.0), 61.3), ((84.6, 66.3, 77.6, 96.7, 98.4, 81.2), 84.1)],
)
def test_rewardbench2_is_the_mean_of_its_subsets(subsets: tuple[float, ...], score: float) -> None:
    suite = SUITES["rewardbench2"]
    units = [Unit(name, name, value / 100, 3.0, name) for name, value in zip(suite.rows, subsets, strict=True)]
    whole = overall(suite, units)
    assert whole is not None and round(100 * whole.score, 1) == score


def ties(rows: dict[str, tuple[list[float], list[float]]]) -> tuple[list[Item], list[list[float]]]:
    items = [item(id, TIES, len(right), len(wrong)) for id, (right, wrong) in rows.items()]
    return items, [right + wrong for right, wrong in rows.values()]


def test_rewardbench2_ties_by_hand() -> None:
    rows = {
        "ref:1": ([5.0], [1.0]),  # gap 4
        "tied:1": ([6.0, 5.0], [2.0]),  # gap 3, spread 1
        "ref:2": ([1.0], [2.0]),  # gap -1
        "tied:2": ([9.0, 3.0], [2.0]),  # gap 1, spread 6
    }
    last = 0.01 * (np.tanh(3 / 1 - 1) + np.tanh(-1 / 6 - 1)) / 2
    suite = SUITES["rewardbench2"]
    assert figure(suite.units(*ties(rows))).score == pytest.approx(0.3 * 1 + 0.3 / 2 + 0.2 / 2 + 0.2 / 2 + last)
    # A reference without its tied prompt counts among the references alone.
    alone = {**rows, "ref:3": ([2.0], [0.0])}
    assert figure(suite.units(*ties(alone))).score == pytest.approx(0.3 + 0.3 * 2 / 3 + 0.2 / 2 + 0.2 / 2 + last)
    details = {name: figure(units).score for name, units in suite.details(*ties(alone)).items()}
    assert list(details.values()) == pytest.approx([1.0, 2 / 3, 0.5, 0.5])


def slow_ties(rows: dict[str, tuple[list[float], list[float]]]) -> float:
    """The formula of the suite in arrays, over prompts that have both rows."""
    numbers = sorted({id.split(":")[1] for id in rows})
    gap = {id: min(right) - max(wrong) for id, (right, wrong) in rows.items()}
    tied, ref = (np.array([gap[f"{kind}:{n}"] for n in numbers]) for kind in ("tied", "ref"))
    spread = np.array([max(rows[f"tied:{n}"][0]) - min(rows[f"tied:{n}"][0]) for n in numbers])
    narrow = np.minimum(tied, ref)
    with np.errstate(divide="ignore", invalid="ignore"):
        last = np.nan_to_num(np.tanh(narrow / spread - 1), nan=0.0)
    parts = [np.mean(tied > 0), np.mean(ref > 0), np.mean(tied > spread), np.mean(narrow > spread), np.mean(last)]
    return float(np.dot([0.3, 0.3, 0.2, 0.2, 0.01], parts))


@pytest.mark.parametrize("seed", range(6))
def test_rewardbench2_ties_against_the_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = {}
    for n in range(12):
        # Small whole numbers, so that spreads and gaps of 0 occur.
        draw = lambda size, low: rng.integers(low, low + 3, size).astype(float).tolist()  # noqa: E731
        rows[f"ref:{n}"] = (draw(1, 2), draw(3, 0))
        rows[f"tied:{n}"] = (draw(int(rng.integers(2, 5)), 2), draw(3, 0))
    assert figure(SUITES["rewardbench2"].units(*ties(rows))).score == pytest.approx(slow_ties(rows), abs=1e-12)


def test_rewardbench2_ties_may_pass_one() -> None:
    perfect = {"ref:1": ([9.0], [0.0]), "tied:1": ([9.0, 8.9], [0.0])}
    found = figure(SUITES["rewardbench2"].units(*ties(perfect)))
    assert 1.0 < found.score <= 1.01 and found.ci95 is None


def test_rm_bench_by_hand() -> None:
    suite = SUITES["rm-bench"]
    # Right responses win by style: (1, 1, 1), (0, 1, 1), (0, 1, 0); the last comparison is a tie.
    items, rewards = [item("1", "Chat", 3, 3)], [(3.0, 2.0, 1.0, 2.5, 0.0, 1.0)]
    details = {name: figure(units).score for name, units in suite.details(items, rewards).items()}
    assert details == pytest.approx({"Easy": 1 / 3, "Normal": 2 / 3, "Hard": 1.0})
    assert suite.value(items[0], rewards[0]) == pytest.approx(6 / 9)


def test_rm_bench_against_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A matrix of accuracies for each domain, its triangles and diagonal, and means of means."""
    suite, rng = SUITES["rm-bench"], np.random.default_rng(0)
    rows = {"Chat": 3, "Math": 5, "Code": 2, "Safety": 7}
    monkeypatch.setattr(type(suite), "rows", rows)
    items = [item(str(k), domain, 3, 3) for domain, n in rows.items() for k in range(n)]
    rewards = rng.integers(0, 4, (len(items), 6)).astype(float)
    by_domain = {}
    for domain in rows:
        own = rewards[[i.subset == domain for i in items]]
        matrix = (own[:, :3, None] > own[:, None, 3:]).mean(axis=0)
        by_domain[domain] = (np.tril(matrix, -1).sum() / 3, np.trace(matrix) / 3, np.triu(matrix, 1).sum() / 3)
    units = suite.units(items, rewards.tolist())
    found = {name: s.score for name, s in sections(suite, units).items()}
    assert found == pytest.approx({domain: np.mean(scores) for domain, scores in by_domain.items()})
    details = [figure(own).score for own in suite.details(items, rewards.tolist()).values()]
    assert details == pytest.approx(np.mean(list(by_domain.values()), axis=0))
    whole = overall(suite, units)
    assert whole is not None
    assert whole.score == pytest.approx(np.mean(details)) == pytest.approx(np.mean(list(found.values())))


def test_rm_bench_is_the_mean_of_its_domains() -> None:
    """Llama-3.3-Nemotron-70B-Reward-Multilingual on the suite's leaderboard."""
    scores = {"Chat": 86.2, "Math": 82.4, "Code": 66.8, "Safety": 94.1}
    whole = overall(SUITES["rm-bench"], [Unit(name, name, v / 100, 1.0, name) for name, v in scores.items()])
    assert whole is not None and round(100 * whole.score, 1) == 82.4


@pytest.mark.parametrize(
    ("right", "percent", "score"),
    [((92, 65, 47, 21), (59.74, 66.33, 83.93, 50.0), 64.29), ((96, 68, 37, 21), (62.34, 69.39, 66.07, 50.0), 63.43)],
)
def test_judgebench_counts_pairs(right: tuple[int, ...], percent: tuple[float, ...], score: float) -> None:
    """Two reward models of the paper's third table."""
    suite = SUITES["judgebench"]
    items, rewards = [], []
    for (subset, n), k in zip(suite.rows.items(), right, strict=True):
        items += [item(str(i), subset, 1, 1) for i in range(n)]
        rewards += [(1.0, 0.0)] * k + [(0.0, 1.0)] * (n - k)
    units = suite.units(items, rewards)
    assert [round(100 * s.score, 2) for s in sections(suite, units).values()] == list(percent)
    whole = overall(suite, units)
    assert whole is not None and round(100 * whole.score, 2) == score


def test_llmbar_adversarial_is_the_mean_of_four() -> None:
    """GPT-4 with metrics and reference: the figures of the suite's statistics.json, and 82.8 of its paper."""
    suite = SUITES["llmbar"]
    right = {"Natural": (96, 100), "Neighbor": (114.5, 134), "GPTInst": (82.5, 92), "GPTOut": (34, 47), "Manual": (38.5, 46)}  # fmt: skip  # noqa: E501
    units = [suite.unit(item(str(k), name, 1, 1), x / n) for name, (x, n) in right.items() for k in range(n)]
    found = sections(suite, units)
    assert [round(100 * found[name].score, 1) for name in ("Natural", "Adversarial")] == [96.0, 82.8]
    assert overall(suite, units) is None


def test_intervals_resample_prompts() -> None:
    """Two rows of one prompt are one observation."""
    alone = [Unit("s", "s", float(k % 2), 1.0, k) for k in range(40)]
    doubled = [Unit("s", "s", float(k % 2), 0.5, k) for k in range(40) for _ in range(2)]
    one, two = figure(alone), figure(doubled)
    assert one.ci95 == pytest.approx(two.ci95) and one.n_prompts == two.n_prompts == 40


def test_intervals_vary_within_subsets_only() -> None:
    """Against the standard error of a mean of strata, where subsets differ so much that ignoring them would show."""
    n, shares = 400, {"a": 0.95, "b": 0.3}
    units = [Unit(name, name, float(k < p * n), 1.0, (name, k)) for name, p in shares.items() for k in range(n)]
    found = figure(units)
    error = np.sqrt(sum(p * (1 - p) / n for p in shares.values())) / 2
    assert found.ci95 is not None
    assert found.ci95[1] - found.ci95[0] == pytest.approx(2 * 1.96 * error, rel=0.06)
    assert found.score == pytest.approx(0.625) and found.ci95[0] < 0.625 < found.ci95[1]
