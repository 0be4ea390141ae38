"""Which variants of the kernels to compile ahead of time."""

import torch

from seqlab.ops.discretize import kernel
from seqlab.ops.discretize.plan import plan_launch

DTYPES = {torch.float32: "fp32", torch.complex64: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
TIMES, CHANNELS, STATES = 16384, 1024, 16
FORMS = {
    # shapes of A, B and dt
    "Mamba": ((CHANNELS, STATES), (TIMES, 1, STATES), (TIMES, CHANNELS)),
    "per channel": ((CHANNELS, STATES), (CHANNELS, STATES), (CHANNELS,)),
    "all": ((TIMES, CHANNELS, STATES), (TIMES, CHANNELS, STATES), (TIMES, CHANNELS)),
    "scalar dt": ((CHANNELS, STATES), (CHANNELS, STATES), ()),
}


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
                partial = {"grad_A_ptr", "grad_B_ptr", "grad_dt_ptr"} if form != "all" else set()
                for function in (kernel.forward_kernel, kernel.backward_kernel):
                    backward = function is kernel.backward_kernel
                    plan = plan_launch(*FORMS[form], dtype, method, backward, True)
                    names = function.arg_names[-len(plan.constants) :]
                    constants = dict(zip(names, plan.constants, strict=True))
                    types = {
                        pointer: "fp32" if pointer in partial else name
                        for pointer in function.arg_names
                        if pointer.endswith("_ptr")
                    }
                    yield function, constants, types, ("channels", "states"), plan.num_warps
