"""What all tests share: no network, few threads, and tiny real models made on the spot.

Every architecture is a true Hugging Face configuration, only small; its weights are random, its tokenizer is a
byte-level BPE trained here. Folders are made once a session, when a test first asks for them.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import settings

# Before anything imports torch or transformers.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

from rewardsmith.preferences.record import Message, Preference
from tests.command import run_line

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerFast

    from rewardsmith.modeling.reward_model import RewardModel
    from tests.collection.chat_server import ChatServer

# A slow machine is no failure. Where CI is set, examples are the same every time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

VOCABULARY = 320
"""Rows of every tiny embedding: a little more than the tokenizer has, as real models do."""

CHAT = (
    "{{ bos_token or '' }}{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)
"""A chat template like those of today's decoders: beginning of text, role marks, an end-of-turn token."""

_CORPUS = [
    "Why is the sky blue? Because the air scatters blue light more than red light.",
    "How do I bake bread? Mix flour, water, salt and yeast, let it rise, then bake it.",
    "What is a reward model? A model that gives a number to a response, higher for a better one.",
    "user assistant system Human Assistant the of and to in is that it for was on are with as",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--seed` draws other random weights: no test may hang on them."""
    parser.addoption("--seed", type=int, default=0, help="of the random weights of tiny models (0)")


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> None:
    """A fixture is the same whichever test is the first to ask for it."""
    _draw_anew(request.config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """A test draws the same numbers whatever ran before it on its worker."""
    _draw_anew(item.config)


def _draw_anew(config: pytest.Config) -> None:
    from transformers import set_seed

    set_seed(config.getoption("--seed"))


class NetworkRefused(RuntimeError):
    """A test reached for the network."""


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Refuses every connection that leaves this machine."""

    def guarded(original: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
                raise NetworkRefused(f"tests may not use the network; something wanted {address}")
            return original(self, address)

        return connect

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
        patch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))
        yield


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1", "") or host.startswith("127.")


class Architecture(NamedTuple):
    """How to make a tiny backbone: its model type, the shape, and whether it is a decoder."""

    model_type: str
    settings: dict[str, Any]
    decoder: bool
    head: str


_SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
}
_GROUPED = _SHAPE | {"num_key_value_heads": 2}

ARCHITECTURES = {
    "llama": Architecture("llama", _GROUPED, True, "score"),
    "qwen3": Architecture("qwen3", _GROUPED | {"head_dim": 8}, True, "score"),
    "gemma": Architecture("gemma", _GROUPED | {"head_dim": 8}, True, "score"),
    "gemma2": Architecture(
        "gemma2", _GROUPED | {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 16}, True, "score"
    ),
    "gemma3": Architecture(
        "gemma3_text", _GROUPED | {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 16}, True, "score"
    ),
    "mistral": Architecture("mistral", _GROUPED | {"sliding_window": 16}, True, "score"),
    "gpt_neox": Architecture("gpt_neox", _SHAPE, True, "score"),
    "modernbert": Architecture("modernbert", _SHAPE | {"local_attention": 16}, False, "classifier"),
    "bert": Architecture("bert", _SHAPE | {"type_vocab_size": 2}, False, "classifier"),
    "roberta": Architecture("roberta", _SHAPE | {"max_position_embeddings": 258}, False, "classifier"),
    "deberta_v3": Architecture(
        "deberta-v2",
        _SHAPE
        | {
            "type_vocab_size": 0,
            "relative_attention": True,
            "position_buckets": 32,
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "pos_att_type": ["p2c", "c2p"],
            "max_relative_positions": -1,
            "position_biased_input": False,
        },
        False,
        "classifier",
    ),
}

ABSOLUTE = {"opt": Architecture("opt", _SHAPE | {"ffn_dim": 48, "word_embed_proj_dim": 32}, True, "score")}
"""Decoders that learn a vector for each position: only prompt trees are tried on them."""


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    """Name of each architecture in turn."""
    return request.param


@pytest.fixture(params=[name for name, a in ARCHITECTURES.items() if a.decoder])
def decoder(request: pytest.FixtureRequest) -> str:
    """Name of each decoder in turn."""
    return request.param


@pytest.fixture(params=[name for name, a in (ARCHITECTURES | ABSOLUTE).items() if a.decoder])
def tree_decoder(request: pytest.FixtureRequest) -> str:
    """Name of each decoder in turn, those with learnt positions too."""
    return request.param


@pytest.fixture(params=[name for name, a in ARCHITECTURES.items() if not a.decoder])
def encoder(request: pytest.FixtureRequest) -> str:
    """Name of each encoder in turn."""
    return request.param


@pytest.fixture(scope="session")
def architectures() -> dict[str, Architecture]:
    """All architectures by name."""
    return ARCHITECTURES


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., PreTrainedTokenizerFast]:
    """Makes a tokenizer: `make_tokenizer(pad="own", bos=True, template=CHAT, style="decoder")`.

    `pad` is `own`, `eos`, None (a token that would do is there but not named), or `nowhere`.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    marks = ["<s>", "</s>", "<pad>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "[CLS]", "[SEP]", "[MASK]"]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trained.train_from_iterator(
        _CORPUS,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY - 10,
            special_tokens=marks,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    plain = trained.to_str()

    def make(
        pad: str | None = "own", *, bos: bool = True, template: str | None = CHAT, style: str = "decoder"
    ) -> PreTrainedTokenizerFast:
        fresh = Tokenizer.from_str(plain.replace('"<pad>"', '"<nop>"') if pad == "nowhere" else plain)
        special: dict[str, Any] = {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
        first, last = "[CLS]", "[SEP]"
        if style == "decoder":
            special = {"eos_token": "<|end|>"} | ({"bos_token": "<s>"} if bos else {})
            first, last = "<s>", ""
        if pad in ("own", "eos"):
            special["pad_token"] = "<pad>" if pad == "own" else "<|end|>"
        # As real tokenizers do: special tokens are added by default, and the chat template writes them too.
        ids = [(t, fresh.token_to_id(t)) for t in (first, last) if t]
        fresh.post_processor = processors.TemplateProcessing(single=f"{first} $A {last}".strip(), special_tokens=ids)
        tokenizer = PreTrainedTokenizerFast(tokenizer_object=fresh, model_max_length=100_000, **special)
        tokenizer.chat_template = template
        return tokenizer

    return make


@pytest.fixture(scope="session")
def make_backbone(
    tmp_path_factory: pytest.TempPathFactory, make_tokenizer: Callable[..., PreTrainedTokenizerFast]
) -> Callable[..., Path]:
    """Saves a tiny pretrained language model, once a session, and gives its folder.

    `make_backbone("llama", pad="eos", settings={...})`: `settings` change the configuration, the rest the tokenizer.
    """
    made: dict[str, Path] = {}

    def make(name: str, *, settings: dict[str, Any] | None = None, **tokenizer: Any) -> Path:
        key = f"{name} {settings} {tokenizer}"
        if key not in made:
            folder = tmp_path_factory.mktemp(name)
            _save_backbone((ARCHITECTURES | ABSOLUTE)[name], settings or {}, make_tokenizer, tokenizer, folder)
            made[key] = folder
        return made[key]

    return make


def _save_backbone(
    architecture: Architecture,
    settings: dict[str, Any],
    make_tokenizer: Callable[..., PreTrainedTokenizerFast],
    options: dict[str, Any],
    folder: Path,
) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

    style = "decoder" if architecture.decoder else "encoder"
    tokenizer = make_tokenizer(**({"style": style} | options))
    ids = {f"{k}_token_id": getattr(tokenizer, f"{k}_token_id") for k in ("bos", "eos", "pad", "cls", "sep")}
    config = AutoConfig.for_model(architecture.model_type, **(architecture.settings | ids | settings))
    kind = AutoModelForCausalLM if architecture.decoder else AutoModelForMaskedLM
    with torch.random.fork_rng():
        torch.manual_seed(0)
        kind.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.fixture(scope="session")
def model_of(make_backbone: Callable[..., Path]) -> Callable[[str, str], RewardModel]:
    """A tiny model by architecture and pooling, made once: it can imitate, and its rewards are about 1."""
    import torch

    from rewardsmith.modeling.building import build_reward_model, prepare_imitation
    from rewardsmith.modeling.spec import BackboneSpec

    made: dict[tuple[str, str], RewardModel] = {}

    def make(name: str, pooling: str) -> RewardModel:
        if (name, pooling) not in made:
            spec = BackboneSpec(model=str(make_backbone(name)), pooling=pooling, max_length=128)
            with torch.random.fork_rng():
                torch.manual_seed(1)
                model = build_reward_model(spec)
                prepare_imitation(model, spec)
                for parameter in model.head.parameters():
                    torch.nn.init.normal_(parameter, std=0.2)
            made[name, pooling] = model.eval()
        return made[name, pooling]

    return make


@pytest.fixture(scope="session")
def in_double() -> Callable[[nn.Module], AbstractContextManager[None]]:
    """Computes in float64 throughout: `with in_double(model): ...`"""
    import torch
    from torch.overrides import TorchFunctionMode

    from rewardsmith.modeling import imitation

    class Double(TorchFunctionMode):
        """Norms and heads compute in float32 whatever their input: within this mode they do it in float64."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            def wider(a: Any) -> Any:
                return torch.float64 if a is torch.float32 else a

            args, kwargs = [wider(a) for a in args], {k: wider(a) for k, a in (kwargs or {}).items()}
            return (torch.Tensor.double if func is torch.Tensor.float else func)(*args, **kwargs)

    @contextmanager
    def double(model: nn.Module) -> Iterator[None]:
        default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        model.double()
        try:
            with Double(), pytest.MonkeyPatch.context() as patch:
                # The recomputation of a checkpoint leaves the mode.
                patch.setattr(imitation, "checkpoint", lambda function, *args, use_reentrant: function(*args))
                yield
        finally:
            model.float()
            torch.set_default_dtype(default)

    return double


@pytest.fixture(scope="session")
def tiny_preferences() -> list[Preference]:
    """Sixteen preferences of two domains that contradict each other, and four general ones."""
    questions = ["Why is the sky blue?", "How do I bake bread?", "What is a reward model?", "Is light red?"]
    long, short, rude = "Because the air scatters blue light more than red.", "It just is.", "No idea, go away!"
    wanted = {"academy": [1.0, 0.5, 0.0], "business": [0.5, 1.0, 0.0]}
    found = [
        Preference(
            id=f"{domain}-{k}",
            prompt=[Message(role="user", content=f"{question} ({k})")],
            responses=[long, short, rude],
            scores=scores,
            domain=domain,
        )
        for domain, scores in wanted.items()
        for k, question in enumerate(questions * 2)
    ]
    general = [
        Preference(
            id=f"general-{k}",
            prompt=[Message(role="system", content="Be kind."), Message(role="user", content=question)],
            responses=[short, rude],
            scores=[1.0, 0.0],
        )
        for k, question in enumerate(questions)
    ]
    return found + general


IN_SMALL = {
    "rewardsmith demo": "--small",
    "rewardsmith customize": "--method anchored",
    # A random model says nothing that a filter would let pass.
    "rewardsmith collect sample": "--no-filter --askings 1 --choose 14",
    "rewardsmith train demo --set": "--set stages.0.epochs=1 --set stages.1.epochs=1 --set backbone.depth=2 "
    "--set stages.0.freeze_layers=0 --set stages.1.freeze_layers=0",
}
"""What is added to documented commands, so that they take seconds on a tiny model."""


@pytest.fixture(scope="session")
def tiny_embedded(tmp_path_factory: pytest.TempPathFactory, make_backbone: Callable[..., Path]) -> dict[str, str]:
    """An environment whose embedded model is a tiny one, so that documented commands take seconds."""
    cache = tmp_path_factory.mktemp("cache")
    backbone = make_backbone("llama", settings={"max_position_embeddings": 1024, "num_hidden_layers": 8})
    shutil.copytree(backbone, cache / "smollm2-135m-instruct")
    return {"REWARDSMITH_CACHE": str(cache)}


@pytest.fixture(scope="session")
def run_pages(tiny_embedded: dict[str, str]) -> Callable[..., int]:
    """Runs every documented `rewardsmith` line of some pages in a folder, in order, in small; how many these were."""

    def run(pages: list[Path], folder: Path, environment: dict[str, str] = tiny_embedded) -> int:
        # A line that several pages name runs once.
        lines = dict.fromkeys(line for page in pages for line in _shell_lines(page))
        for line in lines:
            done = run_line(
                line + "".join(f" {more}" for start, more in IN_SMALL.items() if line.startswith(start)),
                folder,
                environment,
            )
            assert done.code == 0, f"{line}\n{done.out[-2000:]}\n{done.err[-2000:]}"
        return len(lines)

    return run


def _shell_lines(page: Path) -> list[str]:
    """The documented commands of ours, without their comments."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line.split("  #")[0].rstrip() for block in blocks for line in block.strip().splitlines()]
    return [line for line in lines if "rewardsmith " in line]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    """A chat server on loopback without faults, and a key for it in the environment."""
    from tests.collection.chat_server import KEY, ChatServer

    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    running = ChatServer()
    yield running
    running.close()
