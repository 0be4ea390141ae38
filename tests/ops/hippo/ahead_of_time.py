"""Which variants of the kernels to compile ahead of time."""

from seqlab.ops.hippo import kernel

# Pointers to the op's own tensors have their dtype; all others are float32.
OWN = {"f_ptr", "x_ptr", "c_ptr", "grad_c_ptr", "grad_f_ptr"}


def variants(capability):
    """(kernel, constants, pointers' types, multiples of 16, warps) for each."""
    names = ["fp32", "fp16"] + ["bf16"] * (capability >= 80)
    orders = (16, 64, 256) if capability == 90 else (256,)
    for dtype in names:
        for order in orders if dtype == "fp32" else (64,):
            walk = {"ALPHA": 0.5, "SPANS": 1, "BLOCK": 16, "SPLIT": False, "OVERLAP": False}
            walk |= {"PAIRS": max(1, kernel.NUMBERS // order), "ORDER": order}
            ROWS, COLUMNS, BLOCK, warps = kernel.PRODUCT
            product = {"STEPS": kernel.STEPS, "ROWS": ROWS, "COLUMNS": min(COLUMNS, order)}
            product |= {"BLOCK": BLOCK, "SPLIT": True}
            states = ("first_ptr", "part_ptr", "weights_ptr", "start_ptr", "arrive_ptr")
            yield from (
                variant(
                    kernel.walk_kernel, walk, ("first_ptr", "part_ptr", "weights_ptr", "end_ptr"), dtype, 1
                ),
                variant(kernel.walk_kernel, {**walk, "ALPHA": 1.0}, ("f_ptr", "c_ptr", *states), dtype, 1),
                variant(kernel.walk_back_kernel, walk, ("heard_ptr", "part_ptr", "weights_ptr"), dtype, 1),
                variant(
                    kernel.walk_back_kernel,
                    walk,
                    ("grad_c_ptr", "grad_f_ptr", "heard_ptr", *states),
                    dtype,
                    1,
                ),
                variant(kernel.expand_kernel, product, (), dtype, warps),
                variant(kernel.weigh_kernel, {"STEPS": 16, "ROWS": 16, "ORDER": order}, (), dtype, 4),
                variant(kernel.contract_kernel, product, (), dtype, warps),
            )
            if dtype == "fp32":
                carry = {"GROUP": kernel.GROUP, "ROWS": 16, "BLOCK": 16, "ORDER": order}
                yield variant(kernel.carry_kernel, carry, (), dtype, 4)
                yield variant(kernel.carry_kernel, carry, ("first_ptr",), dtype, 4)
            SPANS, ROWS, COLUMNS, BLOCK, warps = kernel.SPAN
            span = {"SPANS": SPANS, "ROWS": ROWS, "COLUMNS": min(COLUMNS, order), "BLOCK": BLOCK}
            span |= {"SPLIT": True, "OVERLAP": capability >= 90}
            for absent in ((), ("first_ptr",)):
                yield variant(kernel.span_kernel, span, absent, dtype, warps)
            # Walks that begin with a product, of many rows and of a few.
            for pairs in {16, max(16, kernel.NUMBERS * kernel.WARPS // order)}:
                wide = walk | {"PAIRS": pairs, "SPANS": SPANS, "SPLIT": True}
                wide["OVERLAP"] = capability >= 90
                wide["BLOCK"] = min(kernel.BLOCK, 4096 // max(pairs, order))
                warps = max(1, pairs * order // kernel.NUMBERS)
                yield variant(kernel.walk_kernel, wide, ("first_ptr", "end_ptr"), dtype, warps)
                yield variant(kernel.walk_back_kernel, wide, ("leave_ptr",), dtype, warps)


def variant(function, constants, absent, dtype, warps):
    """A kernel with the pointers in ``absent`` as None, if it has them."""
    absent = [name for name in absent if name in function.arg_names]
    constants = constants | dict.fromkeys(absent)
    types = {
        name: dtype if name in OWN else "fp32"
        for name in function.arg_names
        if name.endswith("_ptr") and name not in absent
    }
    return function, constants, types, ("order",), warps
