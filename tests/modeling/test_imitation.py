"""The imitation head: chunked, on labelled tokens only, equal to cross entropy over full logits in float64."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from transformers import AutoModelForCausalLM

from rewardsmith.errors import ModelError
from rewardsmith.modeling import imitation
from rewardsmith.modeling.building import prepare_imitation
from rewardsmith.modeling.imitation import LanguageModelHead
from rewardsmith.modeling.spec import BackboneSpec


@pytest.fixture
def ready(build, make_backbone):
    """A reward model with its imitation head, and the language model it comes from."""

    def make(name, settings=None, **options):
        model = build(name, settings=settings, **options)
        folder = str(make_backbone(name, settings=settings))
        prepare_imitation(model, BackboneSpec(model=folder, depth=options.get("depth")))
        return model, AutoModelForCausalLM.from_pretrained(folder)

    return make


def run(model, sequences, imitated, span="response", **changes):
    """(summed nll [n], tokens [n]) in the order of `sequences`."""
    layout = model.layout(imitation_on=span)
    for key, value in changes.items():
        object.__setattr__(layout, key, value)
    output = model(layout.rows(sequences, imitated))
    return output.lm_nll, output.lm_tokens


@torch.no_grad()
def reference(language_model, sequences, imitated, span="response"):
    """Each sequence alone through the plain language model in float64, loss over its full logits."""
    language_model = language_model.double().eval()
    nll, tokens = [], []
    for sequence, wanted in zip(sequences, imitated, strict=True):
        ids = torch.tensor(sequence.ids)
        logits = language_model(input_ids=ids[None]).logits[0].double()
        first = max(1, sequence.response_start if span == "response" else 1)
        losses = F.cross_entropy(logits[:-1], ids[1:], reduction="none")[first - 1 :]
        nll.append(losses.sum().item() if wanted else 0.0)
        tokens.append(len(losses) if wanted else 0)
    return nll, tokens


def sequences_of(model, preferences):
    return [s for p in preferences[:3] + preferences[-1:] for s in model.text.preference(p)]


@pytest.mark.parametrize("span", ["response", "sequence"])
@pytest.mark.parametrize("trees", [True, False])
def test_equal_to_full_logits(ready, decoder, tiny_preferences, span, trees):
    """Every decoder: tied (Gemma) or not (GPT-NeoX), with the final soft-capping of Gemma 2 or without."""
    model, language_model = ready(decoder)
    sequences = sequences_of(model, tiny_preferences)
    imitated = [k % 2 == 0 for k in range(len(sequences))]
    nll, tokens = run(model, sequences, imitated, span, trees=trees and model.trees)
    wanted, count = reference(language_model, sequences, imitated, span)
    assert nll.dtype == torch.float32
    assert nll.tolist() == pytest.approx(wanted, rel=1e-4, abs=1e-4)
    assert tokens.tolist() == count


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("softcap", [None, 3.0])
def test_tied_untied_and_softcapped(ready, tiny_preferences, tied, softcap):
    settings = {"tie_word_embeddings": tied, "final_logit_softcapping": softcap}
    model, language_model = ready("gemma2", settings)
    assert (model.lm_head.untied is None) == tied
    assert model.lm_head.softcap == softcap
    sequences = sequences_of(model, tiny_preferences)
    imitated = [True] * len(sequences)
    wanted, _ = reference(language_model, sequences, imitated)
    assert run(model, sequences, imitated)[0].tolist() == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
def test_chunks_change_neither_losses_nor_gradients(ready, tiny_preferences, chunk, monkeypatch):
    model, _ = ready("llama", {"tie_word_embeddings": True})
    sequences = sequences_of(model, tiny_preferences)
    imitated = [k != 1 for k in range(len(sequences))]

    def both():
        model.zero_grad()
        nll, _ = run(model, sequences, imitated)
        nll.sum().backward()
        return nll.detach(), model.inner.get_input_embeddings().weight.grad.clone()

    wanted = both()
    monkeypatch.setattr(imitation, "_CHUNK", chunk)
    for found, want in zip(both(), wanted, strict=True):
        torch.testing.assert_close(found, want, atol=1e-4, rtol=1e-4)


def test_without_imitated_tokens_no_logits_are_made(ready, tiny_preferences, monkeypatch):
    model, _ = ready("llama")
    sequences = sequences_of(model, tiny_preferences)
    monkeypatch.setattr(LanguageModelHead, "_nll", lambda *a: pytest.fail("logits were made for nothing"))
    nll, tokens = run(model, sequences, [False] * len(sequences))
    assert nll.tolist() == tokens.tolist() == [0] * len(sequences)


def test_tied_embedding_is_one_parameter(ready):
    model, _ = ready("llama", {"tie_word_embeddings": True})
    assert not list(model.lm_head.parameters())
    assert len({id(p) for p in model.parameters()}) == len(list(model.parameters()))


def test_cut_backbone_and_added_pad_token(ready, build, make_backbone, tiny_preferences):
    """The head comes from the uncut backbone, with the vocabulary that it has."""
    model, _ = ready("gpt_neox", depth=1)
    sequences = sequences_of(model, tiny_preferences)
    assert run(model, sequences, [True] * len(sequences))[0].isfinite().all()
    options = {"pad": "nowhere", "settings": {"vocab_size": 310}}
    model = build("gpt_neox", **options)
    prepare_imitation(model, BackboneSpec(model=str(make_backbone("gpt_neox", **options))))
    sequences = sequences_of(model, tiny_preferences)
    assert run(model, sequences, [True] * len(sequences))[0].isfinite().all()


def test_the_head_is_not_saved(ready, tmp_path):
    model, _ = ready("gpt_neox")
    model.save_pretrained(tmp_path / "m")
    from safetensors.torch import load_file

    assert not [
        key for key in load_file(tmp_path / "m" / "model.safetensors") if "embed_out" in key or "lm_head" in key
    ]


def test_encoder_is_refused(build, encoder, make_backbone):
    with pytest.raises(ModelError, match=r"imitation needs a decoder; .* is an encoder: set imitation to 0"):
        prepare_imitation(build(encoder), BackboneSpec(model=str(make_backbone(encoder))))


def test_model_without_its_head_is_refused(build, tiny_preferences, tmp_path):
    """Labelled tokens without `prepare_imitation`, and a backbone whose language-modelling head was not kept."""
    model = build("gpt_neox")
    sequences = sequences_of(model, tiny_preferences)
    with pytest.raises(ModelError, match="imitation needs a language-modelling head"):
        run(model, sequences, [True] * len(sequences))
    model.save_pretrained(tmp_path / "m")
    with pytest.raises(ModelError, match="has no language-modelling head; set imitation to 0 or name the original"):
        prepare_imitation(model, BackboneSpec(model=str(tmp_path / "m")))


def test_unknown_logit_scale_is_refused(build, make_backbone):
    model = build("llama")
    model.config.logits_scaling = 8.0
    try:
        with pytest.raises(ModelError, match="does not know the logits_scaling"):
            prepare_imitation(model, BackboneSpec(model=str(make_backbone("llama"))))
    finally:
        del model.config.logits_scaling
