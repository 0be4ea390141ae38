"""Which variants of the kernels to compile ahead of time."""

import torch

from seqlab.ops.discretize import kernel

DTYPES = {torch.float32: "fp32", torch.complex64: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
SHAPE = (16384, 1024, 16)
FORMS = {
    # what varies along T and D: A, B, dt
    "Mamba": ((1, 1024), (16384, 1), (16384, 1024)),
    "per channel": ((1, 1024), (1, 1024), (1, 1024)),
    "all": ((16384, 1024), (16384, 1024), (16384, 1024)),
    "scalar dt": ((1, 1024), (1, 1024), (1, 1)),
}


class OnGPU:
    """As much of a CUDA tensor as the choice of a tiling looks at."""

    is_cuda = True

    def __init__(self, dtype):
        self.dtype = dtype

    def is_complex(self):
        return self.dtype.is_complex


def variants(capability):
    """(kernel, constants, pointers' types, multiples of 16, warps) for each."""
    # Everything where the tiling was chosen; elsewhere what needs most registers and memory.
    methods = ("gbt", "zoh", "foh") if capability == 90 else ("foh",)
    forms = FORMS if capability == 90 else ("Mamba",)
    for dtype, name in DTYPES.items():
        if name == "bf16" and capability < 80:
            continue
        for method in methods if name == "fp32" else ("zoh",):
            for form in forms if name == "fp32" else ("Mamba",):
                like = [torch.empty((*shape, SHAPE[2]), dtype=dtype, device="meta") for shape in FORMS[form]]
                partial = {"grad_A_ptr", "grad_B_ptr", "grad_dt_ptr"} if form != "all" else set()
                for function, tile in (
                    (kernel.forward_kernel, kernel.FORWARD),
                    (kernel.backward_kernel, kernel.BACKWARD),
                ):
                    tiling = kernel._tiling(OnGPU(dtype), torch.Size(SHAPE), tile)
                    warps = tiling.pop("num_warps")
                    constants = kernel._variant(*like, method) | tiling
                    types = {
                        pointer: "fp32" if pointer in partial else name
                        for pointer in function.arg_names
                        if pointer.endswith("_ptr")
                    }
                    yield function, constants, types, ("channels", "states"), warps
