"""The hub is asked once and briefly before something is wanted of it; a local server or a closed port stands for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from huggingface_hub import constants

from rewardsmith.errors import DataError, ModelError
from rewardsmith.hub import hub_fault, is_cached
from rewardsmith.modeling.backbone import load_config, load_tokenizer
from rewardsmith.preferences.streaming import stream_rows


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Offline mode off, and nothing known of the hub before or after."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub_fault.cache_clear()
    yield
    hub_fault.cache_clear()


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address where nobody listens, in the hub's place."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    return address


class Answering(BaseHTTPRequestHandler):
    """Counts how often it was asked; knows nothing."""

    asked = 0

    def do_HEAD(self) -> None:
        type(self).asked += 1
        self.send_response(404)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def test_a_hub_that_answers_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server = HTTPServer(("127.0.0.1", 0), Answering)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert [hub_fault(), hub_fault()] == [None, None] and Answering.asked == 1
    finally:
        server.shutdown()
        server.server_close()


def test_offline_mode_asks_nothing(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert closed in str(hub_fault())
    hub_fault.cache_clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub_fault() is None


def test_without_a_hub_no_library_tries_its_luck(closed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    from transformers import AutoConfig, AutoTokenizer

    for library, name in (
        (AutoConfig, "from_pretrained"),
        (AutoTokenizer, "from_pretrained"),
        (datasets, "load_dataset"),
    ):
        monkeypatch.setattr(library, name, lambda *_, **__: pytest.fail("it was asked"))
    for load in (load_config, load_tokenizer):
        with pytest.raises(ModelError, match=r"no folder 'owner/name'.*does not answer .*name a model's folder"):
            load("owner/name")
    with pytest.raises(DataError, match=r"owner/name: no such file or folder.*does not answer .*name a file"):
        list(stream_rows("owner/name"))


def test_what_is_in_the_cache_needs_no_hub(closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert not is_cached("owner/name") and not is_cached("no such/name at all")
    commit = "0" * 40
    folder = tmp_path / "models--owner--name"
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "snapshots" / commit / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit, encoding="utf-8")
    assert is_cached("owner/name")
