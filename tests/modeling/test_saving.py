"""Saving whole or not at all, and every refusal in one clear line: what, where, what to do."""

from __future__ import annotations

import json
import os
import resource
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rewardsmith.errors import ModelError, OutputExistsError, RewardsmithError
from rewardsmith.modeling import checkpoint
from rewardsmith.modeling.building import build_reward_model
from rewardsmith.modeling.frozen import digest_of
from rewardsmith.modeling.loading import tokenizer_of
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import BackboneSpec, LoraSpec


@pytest.fixture(scope="module")
def model(build):
    return build("llama")


@pytest.fixture
def saved(model, tmp_path):
    return model.save_pretrained(tmp_path / "saved")


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


def files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ------------------------------------------------------------------------------------------------- saving


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
    one_line(error)


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
    one_line(error)
    assert files(saved) == before
    assert [p.name for p in tmp_path.iterdir()] == ["saved"]


@pytest.mark.parametrize("form", ["portable", "own", "adapter"])
def test_tokenizer_alone_of_any_form(build, tmp_path, form):
    options = {"portable": {}, "own": {"pooling": "mean"}, "adapter": {"lora": LoraSpec(rank=4)}}[form]
    model = build("llama", **options)
    model.save_pretrained(tmp_path / "models" / "m", merge=form != "adapter")
    for place in (tmp_path / "models" / "m", tmp_path):  # a run's folder holds the one model
        assert tokenizer_of(place).get_vocab() == model.tokenizer.get_vocab()


def test_damaged_configuration_of_our_own_type_is_told(build, tmp_path):
    build("llama", pooling="mean").save_pretrained(tmp_path / "m")
    config = tmp_path / "m" / "config.json"
    config.write_text(config.read_text().replace('"backbone"', '"spine"'))
    for load in (tokenizer_of, RewardModel.from_pretrained):
        with pytest.raises(RewardsmithError, match=r"its config\.json is damaged: 'backbone'") as error:
            load(tmp_path / "m")
        one_line(error)


def test_head_lost_in_saving_is_found(model, tmp_path, monkeypatch):
    def lossy(network, folder, **kwargs):
        state = {k: v.contiguous() for k, v in network.state_dict().items() if k != "score.weight"}
        save_file(state, folder / "model.safetensors")

    monkeypatch.setattr(type(model.inner), "save_pretrained", lossy)
    with pytest.raises(RewardsmithError, match=r"does not give back its weights \(score\.weight\)"):
        model.save_pretrained(tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_adapter_without_its_head_is_refused(build, tmp_path):
    from peft import LoraConfig, TaskType, get_peft_model

    model = build("llama")
    settings = LoraConfig(task_type=TaskType.FEATURE_EXTRACTION, r=2, target_modules=["q_proj"])
    model.network = get_peft_model(model.inner, settings)
    with pytest.raises(RewardsmithError, match="without its score; it must be in modules_to_save"):
        model.save_pretrained(tmp_path / "m", merge=False)
    assert not list(tmp_path.iterdir())


def test_run_time_settings_are_not_saved(model, tmp_path):
    model.config.use_cache = False
    model.save_pretrained(tmp_path / "m")
    assert model.config.use_cache is False
    assert json.loads((tmp_path / "m" / "config.json").read_text())["use_cache"] is True


def test_unknown_keys_of_the_info_are_kept(saved, tmp_path):
    path = saved / "rewardsmith.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"later": {"temperature": 2}}))
    RewardModel.from_pretrained(saved).save_pretrained(tmp_path / "again")
    assert json.loads((tmp_path / "again" / "rewardsmith.json").read_text())["later"] == {"temperature": 2}


# ------------------------------------------------------------------------------------------------- loading


def test_folder_without_a_model(tmp_path):
    with pytest.raises(
        ModelError, match=r"a folder without a model: no config.json, no models/; name a model or a run"
    ):
        RewardModel.from_pretrained(tmp_path)


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/model", "runs/nowhere/models/academy"])
def test_folder_that_is_not_there(name):
    with pytest.raises(ModelError, match=f"there is no folder '{name}'"):
        RewardModel.from_pretrained(name)
    with pytest.raises(ModelError, match=f"there is no folder '{name}'"):
        build_reward_model(BackboneSpec(model=name))


def test_hub_model_that_is_not_at_hand():
    with pytest.raises(ModelError, match="'owner/name' is neither a folder nor a hub model at hand") as error:
        RewardModel.from_pretrained("owner/name")
    one_line(error)
    with pytest.raises(ModelError, match="'owner/name' is no model that transformers can load") as error:
        build_reward_model(BackboneSpec(model="owner/name"))
    one_line(error)


def test_hub_model_is_taken_whole(model, saved, texts, monkeypatch):
    """With `rewardsmith.json`: the hub's local copy is a folder like any other."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **kwargs: str(saved))
    loaded = RewardModel.from_pretrained("owner/name")
    assert loaded.info.max_length == 128
    assert loaded.score(*texts) == pytest.approx(model.score(*texts), abs=1e-5)


def test_language_model_is_no_reward_model(make_backbone):
    with pytest.raises(ModelError, match=r"is LlamaForCausalLM and no reward model .*train one from it") as error:
        RewardModel.from_pretrained(make_backbone("llama"))
    one_line(error)


def test_two_labels_are_refused(make_backbone, tmp_path):
    network = AutoModelForSequenceClassification.from_pretrained(make_backbone("bert"), num_labels=2)
    network.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has 2 labels and a reward model one; name another, or train one") as error:
        RewardModel.from_pretrained(tmp_path)
    one_line(error)


def test_classifier_of_other_labels_serves_as_backbone(make_backbone, tmp_path):
    """Its head is of no use and replaced, whatever its size."""
    network = AutoModelForSequenceClassification.from_pretrained(make_backbone("bert"), num_labels=5)
    network.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(make_backbone("bert")).save_pretrained(tmp_path)
    model = build_reward_model(BackboneSpec(model=str(tmp_path), template="dsp", max_length=64), ["a", "b", "c"])
    assert model.head.out_features == 3


@pytest.mark.parametrize("name", ["llama", "bert", "deberta_v3"])
def test_missing_head_or_pooler_is_refused(build, tmp_path, name):
    folder = build(name).save_pretrained(tmp_path / "m")
    weights = load_file(folder / "model.safetensors")
    head = {"llama": "score.weight", "bert": "bert.pooler.dense.weight", "deberta_v3": "pooler.dense.bias"}[name]
    del weights[head]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=f"has no reward head \\({head} is not among its weights\\); train it first"):
        RewardModel.from_pretrained(folder)


def test_missing_backbone_weight_is_refused(saved):
    weights = load_file(saved / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, saved / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks weights of its backbone, for example .*up_proj"):
        RewardModel.from_pretrained(saved)


def test_tokenizer_without_a_chat_template(saved, make_backbone):
    (saved / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"has no chat template, .*set one in its folder \(chat_template.jinja\)"):
        RewardModel.from_pretrained(saved)
    with pytest.raises(ModelError, match=r"has no chat template; name one with backbone\.template"):
        build_reward_model(BackboneSpec(model=str(make_backbone("llama", template=None)), max_length=64))


def test_template_without_an_end_of_turn(make_backbone):
    bare = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}{% if not loop.last %}\n{% endif %}{% endfor %}"
    folder = str(make_backbone("llama", template=bare))
    with pytest.raises(ModelError, match=r"ends a response without an end-of-turn token.*backbone.template: dsp"):
        build_reward_model(BackboneSpec(model=folder, max_length=64))
    assert build_reward_model(BackboneSpec(model=folder, max_length=64, pooling="mean"))
    assert build_reward_model(BackboneSpec(model=folder, max_length=64, template="dsp"))


@pytest.mark.parametrize(("name", "most"), [("llama", 256), ("bert", 256), ("roberta", 255)])
def test_max_length_beyond_the_context(make_backbone, name, most):
    """RoBERTa counts positions from the pad id (here 2) on: 258 of them are 255 tokens."""
    spec = {"model": str(make_backbone(name)), "template": "dsp"}
    with pytest.raises(ModelError, match=f"max_length {most + 1} is more than .* can read; give at most {most}"):
        build_reward_model(BackboneSpec(max_length=most + 1, **spec))
    model = build_reward_model(BackboneSpec(max_length=most, **spec))
    assert isinstance(model.score("q", "word " * 300), float)


def test_layers_that_are_not_there(make_backbone):
    for layers in ([0], [4], []):
        with pytest.raises(ModelError, match="give numbers from 1 to 3"):
            build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=64, layers=layers))


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", b"{"),
        ("config.json", b'{"model_type": "nonsense"}'),
        ("config.json", b"[]"),
        ("model.safetensors", b"\x00" * 20),
        ("tokenizer.json", b"{}"),
        ("rewardsmith.json", b'{"version": 9}'),
        ("rewardsmith.json", b"{"),
    ],
)
def test_damaged_files(saved, file, content):
    (saved / file).write_bytes(content)
    with pytest.raises(ModelError) as error:
        RewardModel.from_pretrained(saved)
    assert str(saved) in one_line(error)


@pytest.mark.parametrize("file", ["model.safetensors", "rewardsmith.json", "tokenizer.json"])
def test_our_own_form_not_copied_whole(build, tmp_path, file):
    folder = build("llama", pooling="mean").save_pretrained(tmp_path / "m")
    (folder / file).unlink()
    with pytest.raises(ModelError) as error:
        RewardModel.from_pretrained(folder)
    assert str(folder) in one_line(error)


# ------------------------------------------------------------------------------------------------- run folders


@pytest.fixture
def run(saved, tmp_path):
    for domain in ("academy", "business"):
        shutil.copytree(saved, tmp_path / "run" / checkpoint.MODELS / domain)
    return tmp_path / "run"


def test_domain_of_a_run(run, model, texts):
    assert RewardModel.from_pretrained(run, domain="academy").score(*texts) == pytest.approx(
        model.score(*texts), abs=1e-5
    )


def test_unknown_domain_of_a_run_with_the_nearest_name(run):
    with pytest.raises(
        ModelError, match=r"no model of domain 'acadmy' \(did you mean 'academy'\?\): academy, business"
    ):
        RewardModel.from_pretrained(run, domain="acadmy")
    with pytest.raises(ModelError, match="several models; name one with --domain: academy, business"):
        RewardModel.from_pretrained(run)


def test_only_model_of_a_run_needs_no_name(run):
    shutil.rmtree(run / checkpoint.MODELS / "business")
    assert RewardModel.from_pretrained(run)


def test_run_without_models_yet(tmp_path):
    (tmp_path / checkpoint.MODELS).mkdir()
    with pytest.raises(ModelError, match="none yet"):
        RewardModel.from_pretrained(tmp_path)


# ------------------------------------------------------------------------------------------------- adapters


def test_adapter_of_a_cut_backbone(build, texts, tmp_path):
    """The base has all its layers: loading must cut it again."""
    model = build("llama", depth=2, lora=LoraSpec(rank=2))
    model.save_pretrained(tmp_path / "m", merge=False)
    again = RewardModel.from_pretrained(tmp_path / "m")
    assert again.score(*texts) == pytest.approx(model.score(*texts), abs=1e-5)


def test_adapter_on_a_bfloat16_backbone(build, texts, tmp_path):
    model = build("llama", precision="bfloat16", lora=LoraSpec(rank=2))
    model.save_pretrained(tmp_path / "m", merge=False)
    assert RewardModel.from_pretrained(tmp_path / "m").score(*texts) == pytest.approx(model.score(*texts), abs=1e-5)


def test_adapter_without_a_head_of_its_own(build, tmp_path):
    """On a language model there would be a random head."""
    folder = build("llama", lora=LoraSpec(rank=2)).save_pretrained(tmp_path / "m", merge=False)
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({k: v for k, v in weights.items() if "score" not in k}, folder / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"has no reward head: neither it nor its base .* holds score\.weight"):
        RewardModel.from_pretrained(folder)


def test_adapter_whose_base_is_gone(build, tmp_path):
    folder = build("llama", lora=LoraSpec(rank=2)).save_pretrained(tmp_path / "m", merge=False)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": "/gone/away"}))
    with pytest.raises(ModelError, match="there is no folder '/gone/away'"):
        RewardModel.from_pretrained(folder)


def test_adapter_trains_only_what_it_saves(build, encoder):
    """An encoder's pooler is new, random and not in the base: it is saved beside the adapter."""
    model = build(encoder, lora=LoraSpec(rank=2))
    from peft import get_peft_model_state_dict

    stored = sum(t.numel() for t in get_peft_model_state_dict(model.network).values())
    trained = sum(w.numel() for w in model.network.parameters() if w.requires_grad)
    assert stored == trained
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("spec", [{"pooling": "mean"}, {"head": "mlp"}])
def test_own_shape_loaded_twice_has_the_same_weights(make_backbone, tmp_path, spec):
    model = build_reward_model(BackboneSpec(model=str(make_backbone("llama")), max_length=64, **spec))
    model.save_pretrained(tmp_path / "m")
    first, second = (digest_of(RewardModel.from_pretrained(tmp_path / "m").parameters()) for _ in range(2))
    assert first == second == digest_of(model.parameters())


def test_own_shape_loads_without_a_warning_of_another_type(build, tmp_path, monkeypatch):
    """transformers does not know our type, and warns of it wherever it reads the folder's config."""
    build("llama", pooling="mean").save_pretrained(tmp_path / "m")
    said = []
    monkeypatch.setattr("transformers.configuration_utils.logger.warning", said.append)
    RewardModel.from_pretrained(tmp_path / "m")
    assert said == []
