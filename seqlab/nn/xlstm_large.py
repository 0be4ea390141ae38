"""xLSTM-7B's variant of xLSTM: mLSTM alone, between gated feed-forward layers (chapter 9)."""

from functools import partial
from os import PathLike
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from seqlab.nn.checkpoint import check_depth, made_of, read_config, read_tensors
from seqlab.nn.feed_forward_block import FeedForwardBlock
from seqlab.nn.heads import of_heads
from seqlab.nn.language_model import LanguageModel
from seqlab.nn.mlstm import checked_memory, nothing, wide_linear
from seqlab.ops import MLSTMState, mlstm, mlstm_step
from seqlab.ops.arguments import (
    accumulation_dtype,
    boolean,
    check_sequence,
    check_step,
    choice,
    number,
    parts_of,
    positive_integer,
)


class CappedMLSTM(nn.Module):
    """The mLSTM layer of xLSTM-7B (Beck et al., 2025, section 3), without a convolution:
    y = W_y (sigmoid(W_o u) ⊙ norm(mlstm(W_q u, W_k u, W_v u))), where the norm is of each
    head, and gates i and f, one of each a head, are a tanh(x / a) of W_i u + b_i and
    W_f u + b_f, so that they lie between -a and a.

    The state is an `MLSTMState`, in float32 at least.

    Args:
        width: features of the input and of the output, at least 1.
        heads: at least 1.
        keys, values: features of the keys and of the values in all heads, multiples of
            `heads`, of the values at least two in each; half of `width` and `width` if None.
        cap: a, above 0.
        eps: added to the variance in the norm, at least 0.

    Attributes:
        query, key, value, gate, output: the Linear layers W_q, W_k, W_v, W_o and W_y.
        input_gate, forget_gate: the Linear layers of i, whose bias starts at -10, and of f,
            whose bias starts between 3 and 6.
        scale: (values,), weights of the norm.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        width: int,
        heads: int = 8,
        keys: int | None = None,
        values: int | None = None,
        cap: float = 15.0,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.width = positive_integer("width", width)
        self.heads = positive_integer("heads", heads)
        keys = self.width // 2 if keys is None else keys
        keys = of_heads("keys", keys, self.heads)
        values = self.width if values is None else values
        values = of_heads("values", values, self.heads, least=2)
        self.cap = number("cap", cap, above=0)
        self.eps = number("eps", eps, least=0)
        self.query = nn.Linear(self.width, keys, bias=False)
        self.key = nn.Linear(self.width, keys, bias=False)
        self.value = nn.Linear(self.width, values, bias=False)
        self.gate = nn.Linear(self.width, values, bias=False)
        self.input_gate = nn.Linear(self.width, self.heads)
        self.forget_gate = nn.Linear(self.width, self.heads)
        with torch.no_grad():
            self.input_gate.bias.fill_(-10)
            self.forget_gate.bias.copy_(torch.linspace(3, 6, self.heads))
        self.scale = nn.Parameter(torch.ones(values))
        self.output = nn.Linear(values, self.width, bias=False)

    def forward(
        self, u: Tensor, state: MLSTMState | None = None
    ) -> tuple[Tensor, MLSTMState]:
        """u (batch, length, width) -> y of the same shape and the last state; parallel in
        time.

        Raises:
            TypeError, ValueError: a shape, dtype or device is not as described, or
                batch or length is 0.
        """
        check_sequence("u", u, self.width, self.scale)
        h, last = mlstm(*self._inputs(u), self._checked(state, u))
        return self._out(u, h), last

    def step(
        self, u_t: Tensor, state: MLSTMState | None = None
    ) -> tuple[Tensor, MLSTMState]:
        """One time step: u_t (batch, width) -> y_t of the same shape and the next
        state."""
        check_step("u_t", u_t, self.width, self.scale)
        q, k, v, i, f = self._inputs(u_t)
        before = self._checked(state, u_t)
        before = nothing(k, v, i) if before is None else before
        h, last = mlstm_step(q, k, v, i, f, before)
        return self._out(u_t, h), last

    def _inputs(self, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        every = self.query(u), self.key(u), self.value(u)
        q, k, v = (x.unflatten(-1, (self.heads, -1)) for x in every)
        gates = wide_linear(self.input_gate, u), wide_linear(self.forget_gate, u)
        i, f = (soft_cap(x, self.cap) for x in gates)
        return q, k, v, i, f

    def _out(self, u: Tensor, h: Tensor) -> Tensor:
        h = h.to(accumulation_dtype(self.scale.dtype))
        # By hand, as a compiled graph leaves eps open.
        var, mean = torch.var_mean(h, -1, correction=0, keepdim=True)
        normed = ((h - mean) * torch.rsqrt(var + self.eps)).flatten(-2)
        normed = normed.to(self.scale.dtype)
        return self.output(torch.sigmoid(self.gate(u)) * (self.scale * normed))

    def _checked(self, state: MLSTMState | None, u: Tensor) -> MLSTMState | None:
        if state is None:
            return None
        keys, values = (
            layer.out_features // self.heads for layer in (self.query, self.value)
        )
        sizes = (self.heads, keys, values), (self.heads, keys), (self.heads,)
        memory = list(parts_of("state", state, MLSTMState))
        return checked_memory(memory, u, sizes, accumulation_dtype(self.scale.dtype))


class XLSTMLargeBlock(FeedForwardBlock):
    """A block of xLSTM-7B: x = u + CappedMLSTM(norm(u)), then x + W_3 (silu(W_1 z) ⊙ W_2 z)
    with z = norm(x). Norms are of root mean squares. The state is that of the
    `CappedMLSTM`.

    Args:
        width, heads, keys, values, cap, eps: as in `CappedMLSTM`; the norms have the same
            eps.
        hidden: features of W_1 and W_2, at least 1; 8/3 of `width`, rounded up to a
            multiple of 64, if None.

    Attributes:
        layer: the `CappedMLSTM`.
        layer_norm, feed_forward_norm: RMSNorm.
        gate, into, out: the Linear layers W_1, W_2 and W_3.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        width: int,
        heads: int = 8,
        keys: int | None = None,
        values: int | None = None,
        hidden: int | None = None,
        cap: float = 15.0,
        eps: float = 1e-6,
    ) -> None:
        super().__init__(CappedMLSTM(width, heads, keys, values, cap, eps), width)
        self.layer_norm = nn.RMSNorm(self.width, eps)  # type: ignore[assignment]
        self.feed_forward_norm = nn.RMSNorm(self.width, eps)  # type: ignore[assignment]
        hidden = rounded_up(self.width * 8 / 3, 64) if hidden is None else hidden
        hidden = positive_integer("hidden", hidden)
        self.gate = nn.Linear(self.width, hidden, bias=False)
        self.into = nn.Linear(self.width, hidden, bias=False)
        self.out = nn.Linear(hidden, self.width, bias=False)

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.out(silu(self.gate(x)) * self.into(x))


class XLSTMLarge(LanguageModel):
    """The language model of xLSTM-7B: embeddings, blocks of `XLSTMLargeBlock`, a norm of
    root mean squares, and logits x that are capped as a tanh(x / a).

    Args:
        vocabulary: how many tokens there are, at least 1.
        width, heads, keys, values, hidden, cap, eps: as in `XLSTMLargeBlock`.
        depth: number of blocks, at least 1.
        logit_cap: a, above 0.
        tied: whether the logits are products with the embeddings.

    Attributes:
        embedding, blocks, norm, head: as in `LanguageModel`.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        depth: int,
        heads: int = 8,
        keys: int | None = None,
        values: int | None = None,
        hidden: int | None = None,
        cap: float = 15.0,
        logit_cap: float = 30.0,
        eps: float = 1e-6,
        tied: bool = False,
    ) -> None:
        width = positive_integer("width", width)
        blocks = [
            XLSTMLargeBlock(width, heads, keys, values, hidden, cap, eps)
            for _ in range(positive_integer("depth", depth))
        ]
        super().__init__(vocabulary, width, blocks, nn.RMSNorm(width, eps), tied)
        self.logit_cap = number("logit_cap", logit_cap, above=0)
        nn.init.normal_(self.embedding.weight, std=(2 / (5 * width)) ** 0.5)

    def _logits(self, x: Tensor) -> Tensor:
        return soft_cap(super()._logits(x), self.logit_cap)

    @classmethod
    def from_pretrained(cls, path: str | PathLike[str]) -> Self:
        """The model of a checkpoint that transformers saved as an `xLSTMForCausalLM`, such
        as xLSTM-7B, in torch's default dtype and on its default device. Nothing is
        downloaded, and nothing in the files is run.

        There 1e-6 is added to the normalizer of the memory, in units that depend on the
        gates before it; here nothing is.

        Args:
            path: a folder with a config.json and the weights.

        Raises:
            FileNotFoundError: there is no such folder, or it lacks a file.
            ModuleNotFoundError: the weights are in model.safetensors, and the package
                safetensors is not installed.
            TypeError, ValueError: a file is damaged, or is not of such a model.
        """
        required = "vocab_size", "hidden_size", "num_hidden_layers", "num_heads"
        config = read_config(path, "xlstm", required)
        tensors = read_tensors(path)
        depth = config["num_hidden_layers"]
        check_depth(tensors, "backbone.blocks.", depth, path)
        options = _options(config)
        if options["tied"]:
            tensors.pop("lm_head.weight", None)  # the embeddings once more
        sizes = config["vocab_size"], config["hidden_size"], depth
        return made_of(partial(cls, *sizes, **options), tensors, path, _NAMES)


def soft_cap(x: Tensor, cap: float) -> Tensor:
    """cap tanh(x / cap): x where it is small, and between -cap and cap."""
    return cap * torch.tanh(x / cap)


def rounded_up(size: float, multiple: int) -> int:
    """The next multiple, as transformers finds it."""
    return int((size + multiple - 1) // multiple * multiple)


def _options(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a model from a config.json, with what stands for those it lacks."""
    choice("weight_mode", config.get("weight_mode", "single"), ["single"])
    if boolean("use_bias", config.get("use_bias", False)):
        raise ValueError("use_bias: expected False, got True")
    width = config["hidden_size"]

    def times(name: str, default: float) -> float:
        return width * number(name, config.get(name, default), above=0)

    multiple = config.get("ffn_round_up_to_multiple_of", 64)
    multiple = positive_integer("ffn_round_up_to_multiple_of", multiple)
    return {
        "heads": config["num_heads"],
        "keys": int(times("qk_dim_factor", 0.5)),
        "values": int(times("v_dim_factor", 1.0)),
        "hidden": rounded_up(times("ffn_proj_factor", 2.667), multiple),
        "cap": config.get("gate_soft_cap", 15.0),
        "logit_cap": config.get("output_logit_soft_cap", 30.0),
        "eps": config.get("norm_eps", 1e-6),
        "tied": boolean(
            "tie_word_embeddings", config.get("tie_word_embeddings", False)
        ),
    }


_NAMES = (
    (r"^embedding", "backbone.embeddings"),
    (r"^norm", "backbone.out_norm"),
    (r"^head", "lm_head"),
    (r"layer_norm", "norm_mlstm"),
    (r"feed_forward_norm", "norm_ffn"),
    (r"^blocks\.(\d+)\.(gate|into|out)\.", r"blocks.\1.ffn.\2."),
    (r"ffn\.gate", "ffn.proj_up_gate"),
    (r"ffn\.into", "ffn.proj_up"),
    (r"ffn\.out", "ffn.proj_down"),
    (r"layer\.query", "mlstm_layer.q"),
    (r"layer\.key", "mlstm_layer.k"),
    (r"layer\.value", "mlstm_layer.v"),
    (r"layer\.gate", "mlstm_layer.ogate_preact"),
    (r"layer\.input_gate", "mlstm_layer.igate_preact"),
    (r"layer\.forget_gate", "mlstm_layer.fgate_preact"),
    (r"layer\.scale", "mlstm_layer.multihead_norm.weight"),
    (r"layer\.output", "mlstm_layer.out_proj"),
    (r"^blocks", "backbone.blocks"),
)
"""What transformers calls a parameter, part by part."""
