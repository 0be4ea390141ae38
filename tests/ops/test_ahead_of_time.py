"""Every kernel compiles for every GPU generation that readers have, within its shared memory, without a GPU.

Each op with a kernel lists its variants in ``<op>/ahead_of_time.py``.
"""

import subprocess
import sys
from pathlib import Path

import pytest

import seqlab.ops
from seqlab.ops.backends import has_triton

HERE = Path(__file__).parent
OPS = sorted(file.parent.name for file in Path(seqlab.ops.__file__).parent.glob("*/kernel.py"))
SHARED_MEMORY_KIB = {75: 64, 80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99}

COMPILE = """
import sys
from triton import compile
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

folder, capability, limit = sys.argv[1], int(sys.argv[2]), 1024 * int(sys.argv[3])
sys.path.insert(0, folder)
from ahead_of_time import variants

done = 0
for function, constants, types, multiples_of_16, warps in variants(capability):
    signature = {
        name: "constexpr" if name in constants
        else f"*{types[name]}" if name in types
        else "fp32" if name == "alpha" else "i32"
        for name in function.arg_names
    }
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, name in enumerate(function.arg_names)
        if name in types or (name in multiples_of_16 and name not in constants)
    }
    source = ASTSource(function, signature=signature, constexprs=constants, attrs=aligned)
    compiled = compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
    assert compiled.metadata.shared <= limit, (function.__name__, constants, compiled.metadata.shared)
    done += 1
print(done)
"""


@pytest.mark.slow
@pytest.mark.skipif(not has_triton(), reason="no Triton")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("capability", SHARED_MEMORY_KIB)
@pytest.mark.parametrize("op", OPS)
def test_kernels_compile(op, capability):
    limit = SHARED_MEMORY_KIB[capability]
    run = subprocess.run(
        [sys.executable, "-c", COMPILE, str(HERE / op), str(capability), str(limit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert int(run.stdout) >= 6
