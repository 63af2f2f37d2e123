"""The incremental array decoder against the whole-text one of the standard library."""

from __future__ import annotations

import io
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewardsmith.preferences import json_arrays
from rewardsmith.preferences.json_arrays import TornArray, iterate_array

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150)
@given(st.lists(values, max_size=8), st.integers(1, 40), st.booleans(), st.sampled_from([None, 2]))
def test_equals_json_loads_whatever_the_chunk_size(elements, chunk, ascii_only, indent):
    text = json.dumps(elements, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_arrays, "CHUNK_BYTES", chunk)
        try:
            text.decode()
        except UnicodeDecodeError:
            with pytest.raises(TornArray, match="not UTF-8"):
                list(iterate_array(io.BytesIO(text)))
            return
        assert [value for _, value in iterate_array(io.BytesIO(text))] == json.loads(text)


@pytest.mark.parametrize("chunk", [1, 3, 1 << 18])
def test_tells_the_line_of_each_element(monkeypatch, chunk):
    monkeypatch.setattr(json_arrays, "CHUNK_BYTES", chunk)
    text = b'[\n{"a": 1},\n\n{"a":\n 2}\n,{"a": 3}]'
    assert list(iterate_array(io.BytesIO(text))) == [(2, {"a": 1}), (4, {"a": 2}), (6, {"a": 3})]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        (b'[\n{"a": 1},\n{"a": }\n]', 3, "not valid JSON"),
        (b'[\n{"a": 1}\n{"a": 2}]', 3, "',' expected"),
        (b'[\n{"a": 1},\n{"a": "un', 3, "cut short"),
        (b'[{"a": 1},', 1, "cut short"),
        (b'[{"a": 1}', 1, "cut short"),
        (b'[{"a": 1}] x', 1, "more text"),
        (b'[\n"\xff"]', 2, "not UTF-8"),
    ],
)
def test_says_where_and_how_an_array_is_torn(monkeypatch, text, line, reason):
    monkeypatch.setattr(json_arrays, "CHUNK_BYTES", 4)
    with pytest.raises(TornArray, match=reason) as caught:
        list(iterate_array(io.BytesIO(text)))
    assert abs(caught.value.line - line) <= (1 if reason == "not UTF-8" else 0)


def test_a_malformed_record_is_found_without_reading_on():
    class Endless(io.RawIOBase):
        """After a malformed record, text that never ends."""

        served = 0

        def read(self, size: int = -1) -> bytes:
            first = b'[{"a": nonsense}, "' if self.served == 0 else b""
            self.served += size
            assert self.served < 4 << 20, "read on far behind the fault"
            return first + b"x" * (size - len(first))

    with pytest.raises(TornArray, match="not valid JSON"):
        list(iterate_array(Endless()))


def test_one_huge_record_takes_linear_time(monkeypatch):
    monkeypatch.setattr(json_arrays, "CHUNK_BYTES", 1 << 10)
    text = json.dumps([{"a": "y" * (4 << 20)}]).encode()
    start = time.perf_counter()
    assert len(list(iterate_array(io.BytesIO(text)))) == 1
    assert time.perf_counter() - start < 2.0  # a scan for each chunk of 1 KiB would take minutes


def test_nesting_too_deep_is_an_error_of_ours():
    with pytest.raises(TornArray, match="cannot be decoded"):
        list(iterate_array(io.BytesIO(b"[" * 200_000)))
