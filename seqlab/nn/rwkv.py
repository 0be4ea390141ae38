"""RWKV-4, 5 and 6: the block and the language model (chapter 8)."""

from functools import partial
from os import PathLike
from typing import Any, NamedTuple, Self

from torch import Tensor, nn

from seqlab.nn.channel_mix import ChannelMix
from seqlab.nn.checkpoint import check_depth, made_of, read_config, read_tensors
from seqlab.nn.language_model import LanguageModel
from seqlab.nn.matrix_time_mix import EagleTimeMix, FinchTimeMix
from seqlab.nn.time_mix import TimeMix, TimeMixState, orthogonal
from seqlab.ops.arguments import (
    check_sequence,
    check_step,
    integer,
    number,
    parts_of,
    positive_integer,
)

HEAD = 64
"""Features of a head, where there is room for as many."""


class RWKVState(NamedTuple):
    """What a block keeps of all tokens so far, in float32 at least."""

    before: Tensor
    """the last token that time mixing saw, (batch, width)"""
    sums: Tensor
    """what time mixing sums up, as in its `TimeMixState`"""
    mixed: Tensor
    """the last token that channel mixing saw, (batch, width)"""


class RWKVBlock(nn.Module):
    """x = u + time_mix(norm(u)), then x + ChannelMix(norm(x)) (Peng et al., 2023, section
    3, and 2024, section 4), where RWKV-4's time mixing is `TimeMix`, RWKV-5's
    `EagleTimeMix` and RWKV-6's `FinchTimeMix`.

    Args:
        width: features between the blocks, at least 1.
        inner: features of time mixing, at least 1; `width` if None.
        hidden: features inside `ChannelMix`, at least 1; if None, four times `width` in
            RWKV-4, and three and a half times, rounded up, in the later ones.
        layer, depth: which of how many blocks it is, 0 <= layer < depth.
        eps: added to the variance in both norms.
        version: 4, 5 or 6.
        heads: of time mixing, from version 5 on; if None, as many as have room for 64
            features each, and at least 1.

    Attributes:
        time_norm, channel_norm: LayerNorm.
        time_mix: `TimeMix`, `EagleTimeMix` or `FinchTimeMix`.
        channel_mix: `ChannelMix`.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        width: int,
        inner: int | None = None,
        hidden: int | None = None,
        layer: int = 0,
        depth: int = 1,
        eps: float = 1e-5,
        version: int = 4,
        heads: int | None = None,
    ) -> None:
        super().__init__()
        self.time_mix = _time_mix(version, heads, width, inner, layer, depth)
        if hidden is None and version > 4:
            hidden = -(-7 * self.time_mix.width // 2)
        self.channel_mix = ChannelMix(width, hidden, layer, depth)
        self.width = self.time_mix.width
        eps = number("eps", eps, least=0)
        self.time_norm = nn.LayerNorm(self.width, eps)
        self.channel_norm = nn.LayerNorm(self.width, eps)

    def forward(
        self, u: Tensor, state: RWKVState | None = None
    ) -> tuple[Tensor, RWKVState]:
        """u (batch, length, width) -> the same shape, and the last state.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.time_norm.weight)
        of_time, of_channels = self._parts(state)
        y, (before, sums) = self.time_mix(self.time_norm(u), of_time)
        x = u + y
        y, mixed = self.channel_mix(self.channel_norm(x), of_channels)
        return x + y, RWKVState(before, sums, mixed)

    def step(
        self, u_t: Tensor, state: RWKVState | None = None
    ) -> tuple[Tensor, RWKVState]:
        """One time step: u_t (batch, width) -> the same shape, and the next state."""
        check_step("u_t", u_t, self.width, self.time_norm.weight)
        of_time, of_channels = self._parts(state)
        y, (before, sums) = self.time_mix.step(self.time_norm(u_t), of_time)
        x = u_t + y
        y, mixed = self.channel_mix.step(self.channel_norm(x), of_channels)
        return x + y, RWKVState(before, sums, mixed)

    def close(self) -> None:
        """Start as a block that does nothing yet."""
        self.time_mix.close()
        orthogonal(self.channel_mix.key)
        for closed in (self.channel_mix.receptance, self.channel_mix.value):
            nn.init.zeros_(closed.weight)

    def _parts(
        self, state: RWKVState | None
    ) -> tuple[TimeMixState | None, Tensor | None]:
        if state is None:
            return None, None
        before, sums, mixed = parts_of("state", state, RWKVState)
        return TimeMixState(before, sums), mixed


class RWKV(LanguageModel):
    """RWKV-4, RWKV-5 (Eagle) or RWKV-6 (Finch), a language model: embeddings and their
    norm, blocks, a norm and the logits of the next token (Peng et al., 2023, section 3,
    and 2024, section 4).

    It starts as its authors start it: with tiny embeddings, which the norm makes large
    and a step of training moves far; with blocks that do nothing yet, as the matrices
    that lead out of them are zero; and with the others orthogonal, but for the keys and
    receptances of RWKV-4's time mixing, which are zero too.

    Args:
        vocabulary: how many tokens there are, at least 1.
        width: features between the blocks, at least 1.
        depth: number of blocks, at least 1.
        inner, hidden, eps, version, heads: as in `RWKVBlock`.

    Attributes:
        embedding, blocks, norm, head: as in `LanguageModel`; each block is an `RWKVBlock`.
        input_norm: LayerNorm, before the first block.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        depth: int,
        inner: int | None = None,
        hidden: int | None = None,
        eps: float = 1e-5,
        version: int = 4,
        heads: int | None = None,
    ) -> None:
        width = positive_integer("width", width)
        depth = positive_integer("depth", depth)
        blocks = [
            RWKVBlock(width, inner, hidden, layer, depth, eps, version, heads)
            for layer in range(depth)
        ]
        super().__init__(vocabulary, width, blocks, nn.LayerNorm(width), tied=False)
        self.input_norm = nn.LayerNorm(width, eps)
        nn.init.uniform_(self.embedding.weight, -1e-4, 1e-4)
        assert self.head is not None
        orthogonal(self.head, 0.5)
        for block in blocks:
            block.close()

    @classmethod
    def from_pretrained(cls, path: str | PathLike[str]) -> Self:
        """The RWKV-4 of a checkpoint that transformers saved as an `RwkvForCausalLM`, such
        as RWKV/rwkv-4-169m-pile, in torch's default dtype and on its default device.
        Nothing is downloaded, and nothing in the files is run.

        In evaluation transformers halves what lies between the blocks after every
        `rescale_every` of them, so that half precision does not overflow. The model's
        function is the same but for the norms' eps; here nothing is halved, as in
        training.

        Args:
            path: a folder with a config.json and the weights.

        Raises:
            FileNotFoundError: there is no such folder, or it lacks a file.
            ModuleNotFoundError: the weights are in model.safetensors, and the package
                safetensors is not installed.
            TypeError, ValueError: a file is damaged, or is not of such a model.
        """
        required = "vocab_size", "hidden_size", "num_hidden_layers"
        config = read_config(path, "rwkv", required)
        tensors = {
            # A token shift's shares have two axes in front, of one each.
            name: x[0, 0] if x.shape[:-1] == (1, 1) else x
            for name, x in read_tensors(path).items()
        }
        depth = config["num_hidden_layers"]
        check_depth(tensors, _BLOCKS, depth, path)
        if config.get("tie_word_embeddings") and _TIED in tensors:
            tensors.setdefault("head.weight", tensors[_TIED])
        options = _options(config)
        sizes = config["vocab_size"], config["hidden_size"], depth
        return made_of(partial(cls, *sizes, **options), tensors, path, _NAMES)

    def _embedded(self, tokens: Tensor) -> Tensor:
        return self.input_norm(self.embedding(tokens))


def _time_mix(
    version: int,
    heads: int | None,
    width: int,
    inner: int | None,
    layer: int,
    depth: int,
) -> TimeMix | EagleTimeMix | FinchTimeMix:
    """The time mixing of a version."""
    version = integer("version", version)
    if version not in (4, 5, 6):
        raise ValueError(f"version: expected 4, 5 or 6, got {version}")
    if version == 4:
        if heads is not None:
            raise ValueError(f"heads: expected None, as RWKV-4 has none, got {heads!r}")
        return TimeMix(width, inner, layer, depth)
    kind = EagleTimeMix if version == 5 else FinchTimeMix
    if heads is None:
        features = positive_integer("width", width)
        if inner is not None:
            features = positive_integer("inner", inner)
        heads = max(1, features // HEAD)
    return kind(width, heads, inner, layer, depth)


def _options(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a model from a config.json, with what stands for those it lacks."""
    eps = number("layer_norm_epsilon", config.get("layer_norm_epsilon", 1e-5), least=0)
    options: dict[str, Any] = {"eps": eps}
    names = {"inner": "attention_hidden_size", "hidden": "intermediate_size"}
    for own, theirs in names.items():
        if config.get(theirs) is not None:
            options[own] = positive_integer(theirs, config[theirs])
    return options


_BLOCKS = "rwkv.blocks."
_TIED = "rwkv.embeddings.weight"
_NAMES = (
    (r"^embedding", "rwkv.embeddings"),
    (r"^norm", "rwkv.ln_out"),
    (r"^blocks", "rwkv.blocks"),
    (r"^input_norm", "rwkv.blocks.0.pre_ln"),
    (r"time_norm", "ln1"),
    (r"channel_norm", "ln2"),
    (r"time_mix\.", "attention."),
    (r"channel_mix\.", "feed_forward."),
    (r"decay$", "time_decay"),
    (r"bonus$", "time_first"),
    (r"shift_k\.mu", "time_mix_key"),
    (r"shift_v\.mu", "time_mix_value"),
    (r"shift_r\.mu", "time_mix_receptance"),
)
"""What transformers calls a parameter, part by part."""
