"""Hyena: long convolutions and gates in turn."""

from seqlab.ops.h3.hyena.op import hyena

__all__ = ["hyena"]
