"""Prompt trees: every sequence can be read back along its path, and what is shared stands once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rewardsmith.batching.layout import Layout
from rewardsmith.batching.rows import Rows
from rewardsmith.batching.tokenizing import TokenizedResponse
from rewardsmith.batching.trees import tree_rows, tree_size

quick = settings(max_examples=150)


@st.composite
def families(draw: st.DrawFn) -> list[TokenizedResponse]:
    """Sequences over few tokens, so that they share beginnings by chance and by descent, at several levels."""
    found = [tuple(draw(st.lists(st.integers(0, 3), min_size=1, max_size=40)))]
    for _ in range(draw(st.integers(0, 9))):
        stem = draw(st.sampled_from(found))
        cut = draw(st.integers(0, len(stem)))
        found.append((*stem[:cut], *draw(st.lists(st.integers(0, 3), min_size=0 if cut else 1, max_size=30))))
    return [TokenizedResponse(ids, draw(st.integers(0, len(ids)))) for ids in found]


def _read_back(rows: Rows) -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
    """For each sequence its tokens and positions, collected along the path of the node that ends it."""
    assert rows.nodes is not None and rows.position_ids is not None
    found = {}
    for k, last in zip(rows.sequence.tolist(), rows.last.tolist(), strict=True):
        end = next(n for n, node in enumerate(rows.nodes) if node.start <= last < node.end)
        assert rows.nodes[end].end == last + 1, "a sequence ends where a node ends"
        path = (*rows.nodes[end].path, end)
        places = [p for n in path for p in range(rows.nodes[n].start, rows.nodes[n].end)]
        found[k] = (tuple(rows.input_ids[0, places].tolist()), tuple(rows.position_ids[0, places].tolist()))
    return found


@quick
@given(sequences=families(), budget=st.sampled_from([8, 40, 4096]))
def test_every_sequence_can_be_read_along_its_path(sequences: list[TokenizedResponse], budget: int) -> None:
    rows = tree_rows(sequences, budget, [True] * len(sequences), "response")
    found = {k: value for r in rows for k, value in _read_back(r).items()}
    assert sorted(found) == list(range(len(sequences)))
    for k, (ids, positions) in found.items():
        assert ids == sequences[k].ids
        assert positions == tuple(range(len(ids)))


@quick
@given(sequences=families(), budget=st.sampled_from([8, 40, 4096]))
def test_rows_hold_to_the_budget_and_to_what_is_needed(sequences: list[TokenizedResponse], budget: int) -> None:
    rows = tree_rows(sequences, budget, [False] * len(sequences), "response")
    longest = max(len(s) for s in sequences)
    assert all(r.tokens <= max(budget, longest) for r in rows)
    assert sum(r.tokens for r in rows) <= sum(len(s) for s in sequences)
    for r in rows:
        assert r.nodes is not None
        assert [n.start for n in r.nodes] == [0, *(n.end for n in r.nodes[:-1])], "nodes lie side by side"


@quick
@given(sequences=families(), imitated=st.lists(st.booleans(), min_size=10, max_size=10), span=st.booleans())
def test_states_members_and_targets_say_the_same_in_both_forms(
    sequences: list[TokenizedResponse], imitated: list[bool], span: bool
) -> None:
    """What each sequence reads (its members' tokens) and predicts (state's token -> target) is the same as padded."""
    flags = imitated[: len(sequences)]

    def told(trees: bool) -> list[tuple[list[int], int, list[tuple[int, int]]]]:
        layout = Layout(0, trees, 64, "sequence" if span else "response")
        by_sequence = {}
        for r in layout.rows(sequences, flags):
            flat = r.input_ids.flatten().tolist()
            for n, k in enumerate(r.sequence.tolist()):
                members = [flat[i] for i, o in zip(r.member.tolist(), r.owner.tolist(), strict=True) if o == n]
                predicted = [
                    (flat[s], t)
                    for s, t, o in zip(r.lm_state.tolist(), r.lm_target.tolist(), r.lm_owner.tolist(), strict=True)
                    if o == n
                ]
                by_sequence[k] = (members, flat[r.last[n]], predicted)
        return [by_sequence[k] for k in range(len(sequences))]

    assert told(True) == told(False)


def test_a_prompt_with_its_responses_is_run_once() -> None:
    prompt = tuple(range(100))
    responses = [TokenizedResponse((*prompt, *range(200 + 20 * k, 220 + 20 * k)), 100) for k in range(5)]
    (rows,) = tree_rows(responses, 4096, [False] * 5, "response")
    assert rows.tokens == 100 + 5 * 20


def test_levels_identical_responses_and_prefixes() -> None:
    system, prompt = tuple(range(30)), tuple(range(30, 60))
    a = TokenizedResponse((*system, *prompt, *range(60, 80)), 60)
    longer = TokenizedResponse((*a.ids, *range(80, 100)), 60)
    other = TokenizedResponse((*system, *range(100, 140)), 30)
    one = TokenizedResponse((*system, *prompt, 7), 60)
    (rows,) = tree_rows([a, longer, other, a, one], 4096, [False] * 5, "response")
    assert rows.tokens == 30 + 30 + 20 + 20 + 40 + 1
    ends = dict(zip(rows.sequence.tolist(), rows.last.tolist(), strict=True))
    assert ends[0] == ends[3]


@quick
@given(sequences=families())
def test_the_size_of_a_tree_is_the_number_of_different_beginnings(sequences: list[TokenizedResponse]) -> None:
    beginnings = {s.ids[: k + 1] for s in sequences for k in range(len(s))}
    assert tree_size(sequences) == len(beginnings)
