"""Every kernel compiles for every GPU generation that readers have, within its shared memory, without a GPU."""

import subprocess
import sys

import pytest

from seqlab.ops.backends import has_triton

SHARED_MEMORY_KIB = {75: 64, 80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99}

COMPILE = """
import sys
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from seqlab.ops.linear_scan import kernel

capability, limit = int(sys.argv[1]), 1024 * int(sys.argv[2])
names = ("STEPS", "RUNS", "PAIRS", "STAGES", "num_warps")
done = 0
for number, dtype in ((0, "fp32"), (1, "fp16"), (2, "bf16")):
    if dtype == "bf16" and capability < 80:
        continue
    for which, function in enumerate((kernel.forward_kernel, kernel.backward_kernel)):
        rows = list(kernel.TILINGS.values())
        # Every tiling where they were tuned; elsewhere the outer two, with the decays that need most memory.
        for row in rows if capability == 90 and dtype == "fp32" else (rows[0], rows[-1])[: 1 + (dtype == "fp32")]:
            for varying in (False, True) if capability == 90 else (True,):
                sizes = dict(zip(names, row[2 * which + varying], strict=True))
                warps = sizes.pop("num_warps")
                fixed = {"FIXED": not varying, "COMPLEX": dtype == "fp32", **sizes}
                wide = {"state_ptr", "last_ptr", "grad_last_ptr", "grad_state_ptr"}
                wide |= {"grad_a_ptr"} if fixed["FIXED"] else set()
                signature = {
                    name: "constexpr" if name in fixed
                    else ("*fp32" if name in wide else f"*{dtype}") if name.endswith("_ptr") else "i32"
                    for name in function.arg_names
                }
                aligned = {
                    (i,): [["tt.divisibility", 16]]
                    for i, name in enumerate(function.arg_names)
                    if name.endswith("_ptr") or name in ("width", "step")
                }
                source = ASTSource(function, signature=signature, constexprs=fixed, attrs=aligned)
                compiled = compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
                assert compiled.metadata.shared <= limit, (function.__name__, sizes, compiled.metadata.shared)
                done += 1
print(done)
"""


@pytest.mark.slow
@pytest.mark.skipif(not has_triton(), reason="no Triton")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("capability", SHARED_MEMORY_KIB)
def test_linear_scan_compiles(capability):
    limit = SHARED_MEMORY_KIB[capability]
    run = subprocess.run(
        [sys.executable, "-c", COMPILE, str(capability), str(limit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert int(run.stdout) >= 6
