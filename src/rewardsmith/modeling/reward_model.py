"""The reward model: a backbone, a pooling, a head, and the tokenizer that goes with them.

`RewardModel.from_pretrained(...)`, `.score(...)`, `.rank(...)` is all that most users need. Training adds the
language-modelling head for imitation; both come out of one forward pass. It knows nothing of losses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from rewardsmith.batching.layout import DEFAULT_TOKEN_BUDGET, Layout
from rewardsmith.batching.rows import ImitationSpan, Rows
from rewardsmith.batching.tokenizing import ConversationTokenizer, TokenizedResponse
from rewardsmith.errors import ModelError
from rewardsmith.modeling.backbone import head_name, is_decoder, output_layer, unwrap
from rewardsmith.modeling.calibration import Calibration
from rewardsmith.modeling.checkpoint import ModelParts, save_parts
from rewardsmith.modeling.cpu_linear import speed_up_linears
from rewardsmith.modeling.frozen import FrozenPrefix, digest_of
from rewardsmith.modeling.heads import Head, MixtureHead, MLPHead, apply_linear, float32_output
from rewardsmith.modeling.imitation import LanguageModelHead
from rewardsmith.modeling.info import ModelInfo
from rewardsmith.modeling.loading import load_parts
from rewardsmith.modeling.pooling import pool
from rewardsmith.modeling.posterior import Posterior
from rewardsmith.modeling.reference import Reference
from rewardsmith.modeling.tree_attention import enable_trees, forward_inputs
from rewardsmith.modeling.tree_check import ensure_trees
from rewardsmith.preferences.record import Message, Preference, Response

if TYPE_CHECKING:
    from peft import PeftModel

FALLBACK_LENGTH = 2048
"""Tokens kept of an input when neither the model nor the user names a limit."""


class RankedResponse(NamedTuple):
    """One response in the order of its reward, best first."""

    index: int  # type: ignore[assignment]  # hides tuple.index, of no use here
    reward: float
    response: Response


@dataclass(frozen=True)
class RewardOutput:
    """`rewards` [n, outputs] float32 in the order of the sequences; `lm_nll` [n] the summed negative log likelihood of
    each sequence's labelled tokens (zeros without labels), `lm_tokens` [n] their number; `gate` [n, experts] the logits
    of a mixture head's gate ([n, 0] of other heads)."""

    rewards: torch.Tensor
    lm_nll: torch.Tensor
    lm_tokens: torch.Tensor
    gate: torch.Tensor


class RewardModel(nn.Module):
    """Scores responses to prompts.

    Example:
        >>> model = RewardModel.from_pretrained("runs/demo/models/academy")     # doctest: +SKIP
        >>> model.score("Why is the sky blue?", ["Rayleigh scattering ...", "It just is."])     # doctest: +SKIP
        [1.31, -0.87]
    """

    def __init__(
        self,
        network: PreTrainedModel | PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        info: ModelInfo,
        own_head: Head | None = None,
        posterior: Posterior | None = None,
        reference: Reference | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.own_head = own_head
        self.posterior = posterior
        self.reference = reference
        self.lm_head: LanguageModelHead | None = None
        self.tokenizer = tokenizer
        self.info = info
        # A decoder's own class reads the last token that is not padding, wherever the text ends.
        native = own_head is None and info.pooling == "native" and is_decoder(self.inner)
        unread = self.inner.config.get_text_config().pad_token_id if native else None
        self.text = ConversationTokenizer(tokenizer, info.max_length or FALLBACK_LENGTH, unread)
        self.trees = is_decoder(self.inner) and enable_trees(self.inner)
        self.trees_checked = False
        speed_up_linears(network)
        self.frozen: FrozenPrefix | None = None

    @classmethod
    def from_pretrained(cls, path: str | Path, domain: str | None = None, device: str | None = None) -> RewardModel:
        """Loads a reward model: a folder of ours, a run folder (with `domain`), a PEFT adapter, or any
        `AutoModelForSequenceClassification` checkpoint with one label, local or from the hub.

        Raises:
            ModelError: there is no such model, or it is not a reward model.
        """
        model = cls(*load_parts(path, domain))
        return model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()

    @property
    def inner(self) -> PreTrainedModel:
        """The Hugging Face network itself, whether or not adapters are wrapped around it."""
        return unwrap(self.network)

    @property
    def backbone(self) -> PreTrainedModel:
        """The transformer below the head."""
        return cast(PreTrainedModel, self.inner.base_model)

    @property
    def head(self) -> nn.Module:
        """The module that gives rewards: our own, or the architecture's."""
        return self.own_head if self.own_head is not None else getattr(self.inner, head_name(self.inner))

    @property
    def last_layer(self) -> nn.Linear:
        """The linear layer that gives the rewards."""
        if self.own_head is not None:
            return self.own_head.out
        holder, name = output_layer(self.inner)
        return cast(nn.Linear, getattr(holder, name))

    @property
    def calibration(self) -> Calibration | None:
        """What `calibrate` found, as long as the last layer is the one that it was found for."""
        found = self.info.calibration
        return found if found and found.head == digest_of(self.last_layer.parameters()) else None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def config(self) -> Any:
        """The network's configuration (the Trainer and accelerate look for it here)."""
        return self.inner.config

    @property
    def _no_split_modules(self) -> list[str]:
        """Classes of the layers that are sharded as a unit (accelerate looks for them here)."""
        return list(self.inner._no_split_modules or [])

    def layout(self, token_budget: int = DEFAULT_TOKEN_BUDGET, imitation_on: ImitationSpan = "response") -> Layout:
        """How this model wants its sequences: prompt trees where the architecture can, padded rows elsewhere."""
        return Layout(self.tokenizer.pad_token_id, self.trees, token_budget, imitation_on)

    def forward(self, rows: Sequence[Rows]) -> RewardOutput:
        """Rewards, and the likelihood of the labelled tokens, for all sequences of `rows`."""
        outputs = [self._run(r)[1:] for r in rows]
        order = torch.cat([r.sequence for r in rows]).argsort()
        return RewardOutput(*(torch.cat(part)[order] for part in zip(*outputs, strict=True)))

    def _run(self, rows: Rows) -> tuple[torch.Tensor, ...]:
        """What the last layer of the head reads [n, width], and then the parts of `RewardOutput`, in the order of the
        pass's own sequences."""
        nll = tokens = torch.zeros(len(rows.last), device=rows.input_ids.device)
        gate = nll.new_zeros(len(rows.last), 0)
        if self.own_head is None and not is_decoder(self.inner):
            inputs = {"input_ids": rows.input_ids, "attention_mask": rows.attention_mask}
            with float32_output(self.last_layer) as read:
                rewards = self.network(**inputs).logits
            return read[-1], rewards, nll, tokens, gate
        states = self._hidden(rows)
        if len(rows.lm_state):
            nll, tokens = self._imitation(states[-1], rows)
        layers = self.info.layers or [-1]
        pooled = torch.cat([pool(states[k], rows, self.info.pooling) for k in layers], dim=-1)
        if isinstance(self.own_head, MixtureHead):
            gate = self.own_head.gate_logits(pool(states[-1], rows, "mean"))
            return pooled, self.own_head(pooled, gate), nll, tokens, gate
        features = self.own_head.hidden(pooled) if isinstance(self.own_head, MLPHead) else pooled
        rewards = apply_linear(self.head if self.own_head is None else self.own_head.out, features)
        return features, rewards, nll, tokens, gate

    def _hidden(self, rows: Rows) -> Sequence[torch.Tensor]:
        """Hidden states [B, T, H]: the last alone, or all layers' where several are pooled."""
        if self.frozen is not None and rows.nodes is not None and self.info.layers is None:
            return [self.frozen.hidden(rows)]
        if rows.nodes is not None:
            inputs = forward_inputs(rows)
        else:
            inputs = {"input_ids": rows.input_ids, "attention_mask": rows.attention_mask}
            inputs |= {"use_cache": False} if is_decoder(self.inner) else {}
        output = self.backbone(**inputs, output_hidden_states=self.info.layers is not None)
        return [output.last_hidden_state] if self.info.layers is None else output.hidden_states

    def _imitation(self, hidden: torch.Tensor, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        if self.lm_head is None:
            raise ModelError("imitation needs a language-modelling head; load the model for training with imitation on")
        nll, tokens = self.lm_head(hidden, rows)
        return nll, tokens

    def activation_checkpointing_enable(self, **how: Any) -> None:
        """Trades compute for memory in the backbone (called by the Trainer)."""
        self.network.activation_checkpointing_enable(**how)

    @torch.no_grad()
    def rewards_of(
        self,
        sequences: Sequence[TokenizedResponse],
        token_budget: int = DEFAULT_TOKEN_BUDGET,
        on_progress: Callable[[int], None] | None = None,
    ) -> torch.Tensor:
        """Rewards [n, outputs] on the CPU for tokenised responses; `on_progress` is told how many were just done."""
        result = torch.empty(len(sequences), len(self.info.domains))
        for rows in self._passes(sequences, token_budget):
            # Called as a whole, not by its parts: sharded weights are gathered by the hooks of the call.
            result[rows.sequence.sort().values.cpu()] = self([rows]).rewards.cpu()
            if on_progress:
                on_progress(len(rows.sequence))
        return result

    @torch.no_grad()
    def features_of(
        self,
        sequences: Sequence[TokenizedResponse],
        token_budget: int = DEFAULT_TOKEN_BUDGET,
        on_progress: Callable[[int], None] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the last layer of the head reads, float32 [n, width], and the rewards [n, outputs], on the CPU;
        `on_progress` is told how many were just done.

        A change δ of that layer's weights changes a reward by δ times the features (in a mixture, the same change of
        all its experts does).
        """
        features = torch.empty(len(sequences), self.last_layer.in_features)
        rewards = torch.empty(len(sequences), len(self.info.domains))
        for rows in self._passes(sequences, token_budget):
            place = rows.sequence.cpu()
            features[place], rewards[place] = (part.float().cpu() for part in self._run(rows)[:2])
            if on_progress:
                on_progress(len(place))
        return features, rewards

    def _passes(self, sequences: Sequence[TokenizedResponse], token_budget: int) -> Iterator[Rows]:
        """The sequences as rows on the model's device, while it is in evaluation mode."""
        ensure_trees(self, sequences)
        was_training = self.training
        self.eval()
        for rows in self.layout(token_budget).rows(sequences):
            yield rows.to(self.device)
        self.train(was_training)

    def outputs_of(
        self,
        preferences: Iterable[Preference],
        on_progress: Callable[[int], None] | None = None,
        on_cut: Callable[[int], None] | None = None,
    ) -> list[list[list[float]]]:
        """All outputs for every response of every preference, `[preference][response][output]`; the same text under
        the same prompt is run only once. `on_cut` is told how many dialogues were longer than the model reads."""
        preferences = list(preferences)
        sequences = self.text.batch([(p.prompt, r) for p in preferences for r in p.responses])
        if on_cut:
            on_cut(sum(s.is_cut for s in sequences))
        unique = {sequence.ids: sequence for sequence in sequences}
        place = {ids: k for k, ids in enumerate(unique)}
        rewards = self.rewards_of(list(unique.values()), on_progress=on_progress).tolist()
        flat = iter(sequences)
        return [[rewards[place[next(flat).ids]] for _ in p.responses] for p in preferences]

    def score_preferences(
        self,
        preferences: Iterable[Preference],
        on_progress: Callable[[int], None] | None = None,
        on_cut: Callable[[int], None] | None = None,
    ) -> list[list[float]]:
        """Rewards of every response of every preference; a model of several domains gives each its own domain's."""
        preferences = list(preferences)
        columns = [self.output_of(p.domain) for p in preferences]
        outputs = self.outputs_of(preferences, on_progress, on_cut)
        return [[row[k] for row in rows] for k, rows in zip(columns, outputs, strict=True)]

    def score(
        self, prompt: str | Sequence[Message], responses: str | Sequence[Response], *, standardise: bool = False
    ) -> float | list[float]:
        """The reward of one response, or of each of several.

        Args:
            prompt: the user's turn as text, or the whole dialogue so far.
            responses: a text (gives a float) or a list (gives a list).
            standardise: in standard deviations from the mean of general responses, so that several models compare.
        """
        dialogue = [Message(role="user", content=prompt)] if isinstance(prompt, str) else list(prompt)
        many = [responses] if isinstance(responses, str) else list(responses)
        rewards = self.rewards_of(self.text.batch([(dialogue, r) for r in many]))[:, 0].tolist()
        if standardise:
            rewards = self.standardise(rewards)
        return rewards[0] if isinstance(responses, str) else rewards

    def rank(self, prompt: str | Sequence[Message], responses: Sequence[Response]) -> list[RankedResponse]:
        """The responses in the order of their reward, best first; equal rewards keep their order."""
        rewards = self.score(prompt, list(responses))
        assert isinstance(rewards, list)
        ranked = sorted(range(len(rewards)), key=lambda k: -rewards[k])
        return [RankedResponse(k, rewards[k], responses[k]) for k in ranked]

    def standardise(self, rewards: Sequence[float]) -> list[float]:
        """Rewards on the common scale (mean 0 and standard deviation 1 on general responses).

        Raises:
            ModelError: the model was saved without its scale.
        """
        scale = self.info.reward_scale
        if scale is None:
            raise ModelError(
                "this model was saved without the scale of its rewards: it is measured while training, on the sets of "
                "a general stage or of enrichment; train with one, or compare the order of rewards alone"
            )
        return [(r - scale.mean) / scale.std for r in rewards]

    def save_pretrained(self, path: str | Path, merge: bool = True, overwrite: bool = False) -> Path:
        """Saves a standard checkpoint folder (see `checkpoint.save_parts`); a calibration that the head has outgrown is
        left out."""
        calibration = self.calibration
        info = self.info.model_copy(update={"calibration": calibration})
        posterior = self.posterior if calibration else None
        parts = ModelParts(self.network, self.tokenizer, info, self.own_head, posterior, self.reference)
        return save_parts(parts, Path(path), merge=merge, overwrite=overwrite)

    def output_of(self, domain: str) -> int:
        """Index of a domain's output; the first for a domain that the model does not know."""
        return self.info.domains.index(domain) if domain in self.info.domains else 0
