"""Which variants of the kernels to compile ahead of time."""

from seqlab.ops.hippo import kernel
from seqlab.ops.hippo.plan import BLOCK, plan

# Pointers to the op's own tensors have their dtype; all others are float32.
OWN = {"f_ptr", "c_ptr", "grad_c_ptr", "grad_f_ptr"}


def variants(capability):
    """(kernel, constants, pointers' types, multiples of 16, warps) for each."""
    names = ["fp32", "fp16"] + ["bf16"] * (capability >= 80)
    orders = (16, 64, 256) if capability == 90 else (256,)
    for dtype in names:
        for order in orders if dtype == "fp32" else (64,):
            planned = plan(1024, 4096, order, True)
            tile, warps = planned.tile(1024)
            summary = {"SUMMARY": True, "ALPHA": 0.5, "ROWS": tile, "ORDER": planned.lanes}
            outputs = summary | {"SUMMARY": False}
            last_alone = outputs | {"ALPHA": 1.0}
            for function, constants, absent in (
                (kernel.recurrence_kernel, summary, ("state_ptr", "c_ptr", "last_ptr")),
                (kernel.recurrence_kernel, outputs, ("state_ptr",)),
                (kernel.recurrence_kernel, outputs, ("state_ptr", "between_ptr")),
                (kernel.recurrence_kernel, last_alone, ("c_ptr",)),
                (kernel.adjoint_kernel, summary, ("grad_f_ptr", "grad_state_ptr")),
                (kernel.adjoint_kernel, outputs, ("grad_last_ptr",)),
                (kernel.adjoint_kernel, outputs, ("between_ptr",)),
                (kernel.adjoint_kernel, last_alone, ("grad_c_ptr",)),
            ):
                yield variant(function, constants, absent, dtype, warps)
            if dtype == "fp32":
                constants = {"ROWS": 16, "BLOCK": min(planned.lanes, BLOCK), "ORDER": planned.lanes}
                for back, absent in ((False, ("start_ptr",)), (True, ())):
                    yield variant(kernel.carry_kernel, constants | {"BACK": back}, absent, dtype, 4)


def variant(function, constants, absent, dtype, warps):
    """A kernel with the pointers in ``absent`` as None."""
    constants = constants | dict.fromkeys(absent)
    types = {
        name: dtype if name in OWN else "fp32"
        for name in function.arg_names
        if name.endswith("_ptr") and name not in absent
    }
    return function, constants, types, ("order", "size"), warps
