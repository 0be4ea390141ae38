"""Which variants of the kernels to compile ahead of time."""

from seqlab.ops.hippo import kernel
from seqlab.ops.hippo.reach import GROUP

# Pointers to the op's own tensors have their dtype; all others are float32.
OWN = {"f_ptr", "x_ptr", "c_ptr", "grad_c_ptr", "grad_f_ptr"}


def variants(capability):
    """(kernel, constants, pointers' types, multiples of 16, warps) for each."""
    names = ["fp32", "fp16"] + ["bf16"] * (capability >= 80)
    orders = (16, 64, 256) if capability == 90 else (256,)
    for dtype in names:
        for order in orders if dtype == "fp32" else (64,):
            walk = {"PAIRS": max(1, 512 // order), "ORDER": order}
            product = {"STEPS": kernel.STEPS, "ROWS": 16, "BLOCK": 16}
            yield from (
                variant(kernel.walk_kernel, {"ALPHA": 0.5, **walk}, (), dtype, 1),
                variant(
                    kernel.walk_kernel,
                    {"ALPHA": 1.0, **walk},
                    ("f_ptr", "c_ptr"),
                    dtype,
                    1,
                ),
                variant(kernel.walk_back_kernel, {"ALPHA": 0.5, **walk}, (), dtype, 1),
                variant(
                    kernel.walk_back_kernel, {"ALPHA": 0.5, **walk}, ("grad_c_ptr", "grad_f_ptr"), dtype, 1
                ),
                variant(kernel.expand_kernel, {**product, "ORDER": order}, (), dtype, 4),
                variant(kernel.weigh_kernel, {"STEPS": 16, "ROWS": 16, "ORDER": order}, (), dtype, 4),
                variant(kernel.contract_kernel, {**product, "COLUMNS": 32}, (), dtype, 4),
            )
            if dtype == "fp32":
                carry = {"GROUP": kernel.GROUP, "ROWS": 16, "BLOCK": 16, "ORDER": order}
                yield variant(kernel.carry_kernel, carry, (), dtype, 4)
                yield variant(kernel.carry_kernel, carry, ("first_ptr",), dtype, 4)
            ROWS, BLOCK, COLUMNS, warps, precision = kernel.REACH
            reach = {
                "SIZE": 32,
                "GROUP": GROUP,
                "ROWS": ROWS,
                "BLOCK": BLOCK,
                "COLUMNS": COLUMNS,
                "PRECISION": precision,
            }
            for counted, absent in (
                ({"FROM": 0, "COUNT": GROUP}, ()),
                ({"FROM": GROUP, "COUNT": 1}, ("first_ptr",)),
            ):
                yield variant(kernel.reach_kernel, reach | counted, absent, dtype, warps)


def variant(function, constants, absent, dtype, warps):
    """A kernel with the pointers in ``absent`` as None."""
    constants = constants | dict.fromkeys(absent)
    types = {
        name: dtype if name in OWN else "fp32"
        for name in function.arg_names
        if name.endswith("_ptr") and name not in absent
    }
    return function, constants, types, ("order",), warps
