"""Which variants of the kernels to compile ahead of time."""

from seqlab.ops.linear_scan import kernel

NAMES = ("STEPS", "RUNS", "PAIRS", "ENTRIES", "num_warps")
WIDE = {"state_ptr", "last_ptr", "grad_last_ptr", "grad_state_ptr"}


def variants(capability):
    """(kernel, constants, pointers' types, multiples of 16, warps) for each."""
    for dtype in ("fp32", "fp16", "bf16"):
        if dtype == "bf16" and capability < 80:
            continue
        for which, function in enumerate((kernel.forward_kernel, kernel.backward_kernel)):
            rows = list(kernel.TILINGS.values())
            # Every tiling where they were tuned; elsewhere the outer two, with the decays that need most memory.
            if dtype != "fp32":
                rows = [4 * (kernel.OF_16_BITS,)]
            elif capability != 90:
                rows = [rows[0], rows[-1]]
            for row in rows:
                for varying in (False, True) if capability == 90 else (True,):
                    constants = dict(zip(NAMES, row[2 * which + varying], strict=True))
                    warps = constants.pop("num_warps")
                    constants |= {
                        "FIXED": not varying,
                        "COMPLEX": dtype == "fp32",
                        "FAR": False,
                        "LANES": 32 * warps,
                    }
                    wide = WIDE if varying else WIDE | {"grad_a_ptr"}
                    types = {
                        name: "fp32" if name in wide else dtype
                        for name in function.arg_names
                        if name.endswith("_ptr")
                    } | {"word_ptr": "i64"}
                    yield function, constants, types, ("width", "step"), warps
            if dtype == "fp32" and capability == 90:  # the last of them, where there are millions of channels
                yield function, constants | {"FAR": True}, types, ("width", "step"), warps
