"""Which variants of the kernels to compile ahead of time."""

from seqlab.ops.decayed_logsumexp import kernel
from seqlab.ops.device.chunks import carry_kernel
from seqlab.ops.device.combines import AFFINE, LOG_ADD

FORWARD = {"carry_ptr", "m_ptr", "last_ptr", "start_ptr"}
BACKWARD = {"flow_ptr", "grad_x_ptr", "grad_w_ptr", "grad_state_ptr"}
LONG = {"x_ptr", "m_ptr", "grad_m_ptr", "grad_x_ptr"}


def variants(capability):
    """(kernel, constants, pointers' types, multiples of 16, warps) for each: launches 1 and 3, then the carry."""
    tiling = dict(kernel.COMPILED)
    warps = tiling.pop("num_warps")
    for dtype in ("fp32", "bf16" if capability >= 80 else "fp16"):
        for function in (kernel.forward_kernel, kernel.backward_kernel):
            types = {name: dtype if name in LONG else "fp32" for name in function.arg_names if "_ptr" in name}
            written = FORWARD if function is kernel.forward_kernel else BACKWARD
            for absent in (written, {"summary_ptr"}, {"summary_ptr", "state_ptr", "grad_last_ptr"}):
                nothing = dict.fromkeys(absent & set(types))
                yield function, tiling | nothing, types, ("width",), warps
    for combine in (AFFINE, LOG_ADD):
        names = ("COMBINE", "PREFIXES", "NEUTRAL", "CHUNKS", "BLOCK")
        constants = dict(zip(names, (*combine, 64, 16), strict=True))
        yield carry_kernel, constants, {"summary_ptr": "fp32"}, ("count",), 4
