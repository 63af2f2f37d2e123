"""Saving whole or not at all."""

from __future__ import annotations

import json
import os
import resource

import pytest
from safetensors.torch import save_file

from rewardsmith.errors import OutputExistsError, RewardsmithError
from rewardsmith.modeling.loading import tokenizer_of
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import LoraSpec


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_existing_folder_is_refused_unless_asked(model, saved, build):
    before = files(saved)
    with pytest.raises(OutputExistsError, match="exists and is not empty; name another folder or overwrite it"):
        model.save_pretrained(saved)
    assert files(saved) == before
    other = build("llama", depth=1)
    other.save_pretrained(saved, overwrite=True)
    assert RewardModel.from_pretrained(saved).info.depth == 1
    assert [p.name for p in saved.parent.iterdir()] == [saved.name]


def test_empty_folder_is_used(model, tmp_path):
    (tmp_path / "m").mkdir()
    model.save_pretrained(tmp_path / "m")
    assert (tmp_path / "m" / "config.json").is_file()


def test_folder_of_something_else_is_never_overwritten(model, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(OutputExistsError, match="holds something that is no model; it is not overwritten"):
        model.save_pretrained(tmp_path / "thesis", overwrite=True)
    with pytest.raises(OutputExistsError, match="name another folder"):
        model.save_pretrained(tmp_path / "thesis" / "chapter.txt", overwrite=True)
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"


def test_folder_that_cannot_be_written(model, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        RewardsmithError, match=r"cannot write to .*: (Not a directory|File exists); name another"
    ) as error:
        model.save_pretrained(tmp_path / "file" / "m")
    assert "\n" not in str(error.value)


def test_read_only_folder(model, tmp_path):
    (tmp_path / "shelf").mkdir(mode=0o500)
    rank = os.geteuid()
    if rank == 0:
        os.seteuid(65534)  # root may write anywhere
    try:
        with pytest.raises(RewardsmithError, match=r"cannot write to .*: Permission denied; name another folder"):
            model.save_pretrained(tmp_path / "shelf" / "m")
    finally:
        os.seteuid(rank)
    assert not list((tmp_path / "shelf").iterdir())


@pytest.mark.parametrize("form", ["portable", "own", "adapter"])
@pytest.mark.parametrize("room", [100, 20_000])
def test_full_disk_leaves_nothing_half_written(build, tmp_path, saved, form, room):
    """The kernel refuses files beyond a size, as it would on a full disk; an older model there stays whole."""
    options = {"portable": {}, "own": {"pooling": "mean"}, "adapter": {"lora": LoraSpec(rank=16)}}[form]
    model = build("llama", **options)
    before = files(saved)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(RewardsmithError, match=r"could not be saved to .*; nothing was changed there") as error:
            model.save_pretrained(saved, merge=form != "adapter", overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(error.value)
    assert files(saved) == before
    assert [p.name for p in tmp_path.iterdir()] == ["saved"]


@pytest.mark.parametrize("form", ["portable", "own", "adapter"])
def test_tokenizer_alone_of_any_form(build, tmp_path, form):
    options = {"portable": {}, "own": {"pooling": "mean"}, "adapter": {"lora": LoraSpec(rank=4)}}[form]
    model = build("llama", **options)
    model.save_pretrained(tmp_path / "models" / "m", merge=form != "adapter")
    for place in (tmp_path / "models" / "m", tmp_path):  # a run's folder holds the one model
        assert tokenizer_of(place).get_vocab() == model.tokenizer.get_vocab()


def test_head_lost_in_saving_is_found(model, tmp_path, monkeypatch):
    def lossy(network, folder, **kwargs):
        state = {k: v.contiguous() for k, v in network.state_dict().items() if k != "score.weight"}
        save_file(state, folder / "model.safetensors")

    monkeypatch.setattr(type(model.inner), "save_pretrained", lossy)
    with pytest.raises(RewardsmithError, match=r"does not give back its weights \(score\.weight\)"):
        model.save_pretrained(tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_run_time_settings_are_not_saved(model, tmp_path, monkeypatch):
    monkeypatch.setattr(model.config, "use_cache", False)
    model.save_pretrained(tmp_path / "m")
    assert model.config.use_cache is False
    assert json.loads((tmp_path / "m" / "config.json").read_text())["use_cache"] is True


def test_unknown_keys_of_the_info_are_kept(saved, tmp_path):
    path = saved / "rewardsmith.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"later": {"temperature": 2}}))
    RewardModel.from_pretrained(saved).save_pretrained(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "rewardsmith.json").read_text())["later"] == {"temperature": 2}
