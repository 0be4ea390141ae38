"""RWKV-4: the block and the language model (chapter 8)."""

from functools import partial
from os import PathLike
from typing import Any, NamedTuple, Self

from torch import Tensor, nn

from seqlab.nn.channel_mix import ChannelMix
from seqlab.nn.checkpoint import check_depth, made_of, read_config, read_tensors
from seqlab.nn.language_model import LanguageModel
from seqlab.nn.time_mix import TimeMix, TimeMixState
from seqlab.ops.arguments import (
    check_sequence,
    check_step,
    number,
    parts_of,
    positive_integer,
)


class RWKVState(NamedTuple):
    """What a block keeps of all tokens so far, in float32 at least."""

    before: Tensor
    """the last token that time mixing saw, (batch, width)"""
    sums: Tensor
    """WKV's numerators, denominators and exponents, (batch, 3, inner)"""
    mixed: Tensor
    """the last token that channel mixing saw, (batch, width)"""


class RWKVBlock(nn.Module):
    """x = u + TimeMix(norm(u)), then x + ChannelMix(norm(x)) (Peng et al., 2023, section
    3).

    Args:
        width: features between the blocks, at least 1.
        inner: features of `TimeMix`, at least 1; `width` if None.
        hidden: features inside `ChannelMix`, at least 1; four times `width` if None.
        layer, depth: which of how many blocks it is, 0 <= layer < depth.
        eps: added to the variance in both norms.

    Attributes:
        time_norm, channel_norm: LayerNorm.
        time_mix, channel_mix: `TimeMix` and `ChannelMix`.

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
    ) -> None:
        super().__init__()
        self.time_mix = TimeMix(width, inner, layer, depth)
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
        time_mix, channel_mix = self.time_mix, self.channel_mix
        _orthogonal(time_mix.value)
        _orthogonal(channel_mix.key)
        for closed in (
            time_mix.key,
            time_mix.receptance,
            time_mix.output,
            channel_mix.receptance,
            channel_mix.value,
        ):
            nn.init.zeros_(closed.weight)

    def _parts(
        self, state: RWKVState | None
    ) -> tuple[TimeMixState | None, Tensor | None]:
        if state is None:
            return None, None
        before, sums, mixed = parts_of("state", state, RWKVState)
        return TimeMixState(before, sums), mixed


class RWKV(LanguageModel):
    """RWKV-4, a language model: embeddings and their norm, blocks, a norm and the logits
    of the next token (Peng et al., 2023, section 3).

    It starts as its authors start it: with tiny embeddings, which the norm makes large
    and a step of training moves far; with blocks that do nothing yet, as the matrices of
    keys, receptances and outputs are zero; and with all others orthogonal.

    Args:
        vocabulary: how many tokens there are, at least 1.
        width: features between the blocks, at least 1.
        depth: number of blocks, at least 1.
        inner, hidden, eps: as in `RWKVBlock`.

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
    ) -> None:
        width = positive_integer("width", width)
        depth = positive_integer("depth", depth)
        blocks = [
            RWKVBlock(width, inner, hidden, layer, depth, eps) for layer in range(depth)
        ]
        super().__init__(vocabulary, width, blocks, nn.LayerNorm(width), tied=False)
        self.input_norm = nn.LayerNorm(width, eps)
        nn.init.uniform_(self.embedding.weight, -1e-4, 1e-4)
        assert self.head is not None
        _orthogonal(self.head, 0.5)
        for block in blocks:
            block.close()

    @classmethod
    def from_pretrained(cls, path: str | PathLike[str]) -> Self:
        """The model of a checkpoint that transformers saved as an `RwkvForCausalLM`, such
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


def _orthogonal(linear: nn.Linear, scale: float = 1.0) -> None:
    """A random matrix that keeps lengths, or one that leads into more features and makes
    each of them as large as those it comes from."""
    rows, columns = linear.weight.shape
    nn.init.orthogonal_(linear.weight, scale * max(1.0, rows / columns) ** 0.5)
