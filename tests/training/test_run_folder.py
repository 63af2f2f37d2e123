"""A run's folder: the same run goes on there, another is refused by name, and nothing else is ever overwritten."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from rewardsmith.errors import OutputExistsError, RewardsmithError

Run = Callable[..., Path]


def test_a_finished_run_is_not_run_again(run_tiny: Run) -> None:
    run = run_tiny(custom=None)
    before = (run / "models/general/model.safetensors").stat().st_mtime_ns
    assert run_tiny(custom=None) == run
    assert (run / "models/general/model.safetensors").stat().st_mtime_ns == before


def test_changed_settings_are_refused_by_name(run_tiny: Run) -> None:
    run_tiny(custom=None)
    with pytest.raises(OutputExistsError, match=r"recipe\.stages\.0\.learning_rate"):
        run_tiny(custom=None, general={"learning_rate": 5e-3})
    run_tiny(custom=None, general={"learning_rate": 5e-3}, overwrite=True)


def test_stages_may_be_added_and_are_then_held_to(run_tiny: Run) -> None:
    run_tiny(custom=None)
    run = run_tiny(custom={})
    assert {p.name for p in (run / "models").iterdir()} == {"general", "academy"}
    with pytest.raises(OutputExistsError, match=r"stages\.1\.learning_rate"):
        run_tiny(custom={"learning_rate": 5e-3})


def test_the_evaluation_may_change(run_tiny: Run) -> None:
    run = run_tiny(custom=None)
    run_tiny(custom=None, evaluation={"part": "validation", "sets": ["dsp", "general"], "baselines": False})
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert set(result["sets"] if "sets" in result else result["models"][0]["sets"]) == {"dsp", "general"}


def test_a_folder_that_holds_no_run_is_never_overwritten(run_tiny: Run, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work", encoding="utf-8")
    for overwrite in (False, True):
        with pytest.raises(OutputExistsError, match="holds no run"):
            run_tiny(custom=None, overwrite=overwrite)
    assert (tmp_path / "run" / "thesis.txt").read_text(encoding="utf-8") == "years of work"


@pytest.mark.parametrize("content", ['{"recipe": {', "[]", '{"recipe": {}}', '{"recipe": 1, "data": {}}'])
def test_a_damaged_record_of_the_run_is_named(run_tiny: Run, tmp_path: Path, content: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(OutputExistsError, match=r"run\.json is damaged.*--overwrite"):
        run_tiny(custom=None)
    assert run_tiny(custom=None, overwrite=True)


def test_a_start_that_was_interrupted_can_be_repeated(run_tiny: Run, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json.partial").write_text("{", encoding="utf-8")
    assert run_tiny(custom=None)


def test_a_folder_that_cannot_be_written(run_tiny: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RewardsmithError, match=r"cannot write to .*name another folder"):
        run_tiny("file/run", custom=None)
