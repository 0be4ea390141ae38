"""Mamba, the language model (chapter 10)."""

from functools import partial
from os import PathLike
from typing import Any, Self

import torch
from torch import Tensor, nn

from seqlab.nn.checkpoint import check_depth, made_of, read_config, read_tensors
from seqlab.nn.language_model import LanguageModel
from seqlab.nn.mamba_block import MambaBlock
from seqlab.nn.residual_block import ResidualBlock
from seqlab.nn.s6 import S6, Selection
from seqlab.ops.arguments import boolean, number, positive_integer


class Mamba(LanguageModel):
    """Mamba, a language model: embeddings, blocks, each behind a norm of root mean
    squares and with a residual connection, a norm, and the logits of the next token (Gu
    and Dao, 2023, section 3.4).

    Args:
        vocabulary: how many tokens there are, at least 1.
        width: features between the blocks, at least 1.
        depth: number of blocks, at least 1.
        state_size, rank: as in `S6`.
        inner, size, conv_bias, bias: as in `MambaBlock`.
        eps: added to the mean square in the norms, at least 0.
        tied: whether the logits are products with the embeddings.

    Attributes:
        embedding, blocks, norm, head: as in `LanguageModel`; each block is a
            `ResidualBlock` around a `MambaBlock` with an `S6` inside.

    Raises:
        TypeError, ValueError: an argument is not as described.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        depth: int,
        state_size: int = 16,
        rank: int | None = None,
        inner: int | None = None,
        size: int = 4,
        conv_bias: bool = True,
        bias: bool = False,
        eps: float = 1e-5,
        tied: bool = True,
    ) -> None:
        width = positive_integer("width", width)
        depth = positive_integer("depth", depth)
        # The rank comes of what the model has between its blocks, not inside of them.
        rank = -(-width // 16) if rank is None else rank
        layer = partial(S6, state_size=state_size, rank=rank)
        blocks = [
            ResidualBlock(
                MambaBlock(width, inner, layer, size, conv_bias, bias), width, eps
            )
            for _ in range(depth)
        ]
        super().__init__(vocabulary, width, blocks, nn.RMSNorm(width, eps), tied)
        nn.init.normal_(self.embedding.weight, std=0.02)
        with torch.no_grad():
            for block in blocks:  # what all blocks add up to starts as large as one's
                block.layer.out_proj.weight.div_(depth**0.5)

    def selections(self, tokens: Tensor) -> list[Selection]:
        """What each block makes of its system at each token: tokens (batch, length) -> of
        every block dt (batch, length, inner), B and C (batch, length, state_size)."""
        self._check_tokens("tokens", tokens, "batch, length")
        x, found = self.embedding(tokens), []
        for block in self.blocks:
            found.append(block.layer.selection(block.norm(x)))
            x, _ = block(x)
        return found

    @classmethod
    def from_pretrained(cls, path: str | PathLike[str]) -> Self:
        """The model of a checkpoint that transformers saved as a `MambaForCausalLM`, such
        as those of state-spaces whose names end in -hf, in torch's default dtype and on its
        default device. Nothing is downloaded, and nothing in the files is run.

        Args:
            path: a folder with a config.json and the weights.

        Raises:
            FileNotFoundError: there is no such folder, or it lacks a file.
            ModuleNotFoundError: the weights are in model.safetensors, and the package
                safetensors is not installed.
            TypeError, ValueError: a file is damaged, or is not of such a model.
        """
        required = "vocab_size", "hidden_size", "num_hidden_layers", "state_size"
        config = read_config(path, "mamba", required)
        tensors = {_renamed(name): x for name, x in read_tensors(path).items()}
        depth = config["num_hidden_layers"]
        check_depth(tensors, _BLOCKS, depth, path)
        options = _options(config)
        if options["tied"]:
            tensors.pop("lm_head.weight", None)  # the embeddings once more
        for name, x in tensors.items():
            if name.endswith(_TAPS) and x.ndim == 3 and x.shape[1] == 1:
                tensors[name] = x[:, 0].flip(1)  # theirs has the oldest token's first
        sizes = config["vocab_size"], config["hidden_size"], depth
        return made_of(partial(cls, *sizes, **options), tensors, path, _NAMES)


def _options(config: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a model from a config.json, with what stands for those it lacks."""
    activation = config.get("hidden_act", "silu")
    if activation not in ("silu", "swish"):
        raise ValueError(f"hidden_act: expected 'silu', got {activation!r}")
    width = config["hidden_size"]
    rank = config.get("time_step_rank", "auto")
    inner = config.get("intermediate_size")
    if inner is None:
        inner = int(number("expand", config.get("expand", 2), above=0) * width)
    return {
        "state_size": config["state_size"],
        "rank": None if rank == "auto" else positive_integer("time_step_rank", rank),
        "inner": positive_integer("intermediate_size", inner),
        "size": positive_integer("conv_kernel", config.get("conv_kernel", 4)),
        "conv_bias": boolean("use_conv_bias", config.get("use_conv_bias", True)),
        "bias": boolean("use_bias", config.get("use_bias", False)),
        "eps": number("layer_norm_epsilon", config.get("layer_norm_epsilon", 1e-5)),
        "tied": boolean("tie_word_embeddings", config.get("tie_word_embeddings", True)),
    }


_BLOCKS = "backbone.layers."
_TAPS = ".mixer.conv1d.weight"
_NAMES = (
    (r"^embedding", "backbone.embeddings"),
    (r"^norm", "backbone.norm_f"),
    (r"^head", "lm_head"),
    (r"^blocks", "backbone.layers"),
    (r"\.layer\.", ".mixer."),
    (r"mixer\.ssm\.", "mixer."),
    (r"conv\.taps", "conv1d.weight"),
    (r"conv\.bias", "conv1d.bias"),
)
"""What transformers calls a parameter, part by part."""


def _renamed(name: str) -> str:
    """The name that transformers has for a tensor today."""
    return name.replace("backbone.embedding.", "backbone.embeddings.")
