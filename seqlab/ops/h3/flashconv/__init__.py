"""The long convolution that starts and stops anywhere."""

from seqlab.ops.h3.flashconv.op import flashconv, flashconv_step

__all__ = ["flashconv", "flashconv_step"]
