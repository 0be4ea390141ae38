"""The modes of PyTorch that a caller is in make no difference to an op."""

import torch
from every_call import every_form, every_kind
from op_calls import equal

from seqlab import ops


@every_kind
def test_modes_of_the_caller_make_no_difference(call):
    """Autocast, another default dtype, another default device: the same bits."""
    arguments = call.arguments()
    expected = call.run(arguments)
    ops.clear_cache()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert equal(call.run(arguments), expected)
    ops.clear_cache()
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert equal(call.run(arguments), expected)
    finally:
        torch.set_default_dtype(before)
    ops.clear_cache()
    with torch.device("meta"):
        outputs = call.op(**arguments)
    assert equal(outputs, expected[: len(outputs)])


@every_form
def test_training_follows_inference_mode(call):
    """What is kept between calls is no tensor of the mode that it was made in."""
    arguments = call.arguments()
    ops.clear_cache()
    with torch.inference_mode():
        outputs = call.op(**arguments)
    found = call.run(arguments)
    assert equal(found[: len(outputs)], outputs)
    ops.clear_cache()
    assert equal(call.run(arguments), found)
