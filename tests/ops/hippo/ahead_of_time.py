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
            overlap = {"OVERLAP": capability >= 90}
            begins = {"SPANS": kernel.SPANS, "BLOCK": kernel.BLOCK, "SPLIT": True}
            walk = {
                "ALPHA": 0.5,
                "PAIRS": max(1, kernel.NUMBERS // order),
                "ORDER": order,
                **begins,
                **overlap,
            }
            alone = ("first_ptr", "part_ptr", "weights_ptr", "heard_ptr")
            states = (*alone, "start_ptr", "arrive_ptr")
            invariant, warps = product(kernel.INVARIANT, order)
            invariant["STEPS"] = kernel.STEPS
            last, of_last = product(kernel.LAST, order)
            yield from (
                variant(kernel.walk_kernel, walk, ("end_ptr", *alone), dtype, 1),
                variant(kernel.walk_kernel, {**walk, "ALPHA": 1.0}, ("f_ptr", "c_ptr", *states), dtype, 1),
                variant(kernel.walk_back_kernel, walk, ("leave_ptr", *alone), dtype, 1),
                variant(kernel.walk_back_kernel, walk, ("grad_c_ptr", "grad_f_ptr", *states), dtype, 1),
                variant(kernel.expand_kernel, invariant, (), dtype, warps),
                variant(kernel.contract_kernel, invariant, (), dtype, warps),
                variant(kernel.weigh_kernel, last | overlap, (), dtype, of_last),
            )
            if dtype == "fp32":
                carry = {"GROUP": kernel.GROUP, "ROWS": 16, "BLOCK": 16, "ORDER": order}
                yield variant(kernel.carry_kernel, carry, (), dtype, 4)
                yield variant(kernel.carry_kernel, carry, ("first_ptr",), dtype, 4)
            ends, warps = product(kernel.ENDS, order)
            yield variant(kernel.weigh_kernel, ends | overlap, (), dtype, warps)
            if dtype == "fp32":
                parts, warps = product(kernel.PARTS, order)
                parts |= {"SPANS": kernel.SPANS} | overlap
                yield variant(kernel.span_kernel, parts, (), dtype, warps)
                yield variant(kernel.span_kernel, parts, ("first_ptr",), dtype, warps)
            # Walks that begin with a product, of many rows and of a few.
            for pairs in {16, max(16, kernel.NUMBERS * kernel.WARPS // order)}:
                wide = walk | {"PAIRS": pairs, "BLOCK": min(kernel.BLOCK, 4096 // max(pairs, order))}
                warps = max(1, pairs * order // kernel.NUMBERS)
                yield variant(kernel.walk_kernel, wide, ("first_ptr", "end_ptr"), dtype, warps)
                yield variant(kernel.walk_back_kernel, wide, ("leave_ptr",), dtype, warps)


def product(tile, order):
    """The constants of a matrix product with many rows, and its warps."""
    constants = tile | {"COLUMNS": min(tile["COLUMNS"], order), "SPLIT": True}
    return constants, constants.pop("num_warps")


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
