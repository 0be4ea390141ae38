"""Which variants of the kernels to compile ahead of time."""

from seqlab.ops.hippo import kernel

# Pointers to the op's own tensors have their dtype, words are int32; all others are float32.
OWN = {"f_ptr", "x_ptr", "c_ptr", "grad_c_ptr", "grad_f_ptr"}
WORDS = {"word_ptr", "turn_ptr"}


def variants(capability):
    """(kernel, constants, pointers' types, multiples of 16, warps) for each."""
    names = ["fp32", "fp16"] + ["bf16"] * (capability >= 80)
    orders = (16, 64, 256) if capability == 90 else (256,)
    for dtype in names:
        for order in orders if dtype == "fp32" else (64,):
            begins = {"SPANS": kernel.SPANS, "COLUMNS": min(kernel.COLUMNS, order), "SPLIT": True}
            begins |= {"SLICE": kernel.SLICE, "LONG": kernel.LONG, "SLICES": 1}
            walk = {"ALPHA": 0.5, "PAIRS": max(1, kernel.NUMBERS // order), "ORDER": order, **begins}
            sends = ("to_end_ptr", "between_ptr", "word_ptr", "turn_ptr")
            alone = ("first_ptr", "weights_ptr", "heard_ptr", *sends)
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
                variant(kernel.weigh_kernel, last, (), dtype, of_last),
            )
            if dtype == "fp32":
                carry = {"GROUP": kernel.GROUP, "ROWS": 16, "BLOCK": 16, "ORDER": order}
                yield variant(kernel.carry_kernel, carry, (), dtype, 4)
                yield variant(kernel.carry_kernel, carry, ("first_ptr",), dtype, 4)
            # Walks that begin with a product, of many rows and of a few, in groups and not.
            for numbers, function, absent in (
                (kernel.TILE, kernel.walk_kernel, ("end_ptr",)),
                (kernel.TILE_BACK, kernel.walk_back_kernel, ("leave_ptr",)),
            ):
                for pairs in {16, max(16, numbers // order)}:
                    warps = max(kernel.WARPS, pairs * order // kernel.NUMBERS)
                    wide = walk | {"PAIRS": pairs, "SLICES": kernel._slices(order, warps)}
                    yield variant(function, wide, absent, dtype, warps)
            if dtype == "fp32" and order == 64:
                one_row = wide | {"rows": 1, "channels": 1}
                yield variant(kernel.walk_kernel, one_row, ("first_ptr", "end_ptr"), dtype, warps)
                yield variant(kernel.walk_kernel, wide, ("end_ptr", *sends), dtype, warps)


def product(tile, order):
    """The constants of a matrix product with many rows, and its warps."""
    constants = tile | {"COLUMNS": min(tile["COLUMNS"], order), "SPLIT": True}
    return constants, constants.pop("num_warps")


def variant(function, constants, absent, dtype, warps):
    """A kernel with the pointers in ``absent`` as None, if it has them."""
    absent = [name for name in absent if name in function.arg_names]
    constants = constants | dict.fromkeys(absent)
    types = {
        name: dtype if name in OWN else "i32" if name in WORDS else "fp32"
        for name in function.arg_names
        if name.endswith("_ptr") and name not in absent
    }
    return function, constants, types, ("order",), warps
