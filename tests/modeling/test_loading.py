"""What is loaded, and every refusal in one clear line: what, where, what to do."""

from __future__ import annotations

import shutil

import pytest
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from rewardsmith.errors import ModelError, RewardsmithError
from rewardsmith.modeling import checkpoint
from rewardsmith.modeling.building import build_reward_model
from rewardsmith.modeling.frozen import digest_of
from rewardsmith.modeling.loading import tokenizer_of
from rewardsmith.modeling.reward_model import RewardModel
from rewardsmith.modeling.spec import BackboneSpec


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


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


# ------------------------------------------------------------------------------------------------- our own form


@pytest.mark.parametrize("file", ["model.safetensors", "rewardsmith.json", "tokenizer.json"])
def test_our_own_form_not_copied_whole(build, tmp_path, file):
    folder = build("llama", pooling="mean").save_pretrained(tmp_path / "m")
    (folder / file).unlink()
    with pytest.raises(ModelError) as error:
        RewardModel.from_pretrained(folder)
    assert str(folder) in one_line(error)


def test_damaged_configuration_of_our_own_type_is_told(build, tmp_path):
    build("llama", pooling="mean").save_pretrained(tmp_path / "m")
    config = tmp_path / "m" / "config.json"
    config.write_text(config.read_text().replace('"backbone"', '"spine"'))
    for load in (tokenizer_of, RewardModel.from_pretrained):
        with pytest.raises(RewardsmithError, match=r"its config\.json is damaged: 'backbone'") as error:
            load(tmp_path / "m")
        one_line(error)


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
