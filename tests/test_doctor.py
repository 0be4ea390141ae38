"""The doctor: the right three lines for machines we do not have, and true facts about the one we have."""

import dataclasses
import platform

import pytest
import torch

import seqlab
from seqlab.doctor import GPU, Machine, Unmet, machine, report, unmet

LAPTOP = Machine("Linux x86_64", 2, "3.11.7", "2.11.0", "3.6.0", "2.1.3", None)
MAC = Machine("Darwin arm64", 8, "3.13.1", "2.11.0", None, "2.1.3", None)
T4 = GPU("Tesla T4", (7, 5), 15 * 2**30, 64 * 1024)
H100 = GPU("NVIDIA H100 80GB HBM3", (9, 0), 80 * 2**30, 227 * 1024)


def on(gpu: GPU) -> Machine:
    return dataclasses.replace(LAPTOP, gpu=gpu)


@pytest.mark.parametrize("facts", [LAPTOP, MAC, on(T4), on(H100)])
def test_always_three_short_lines(facts):
    lines = report(facts)
    assert len(lines) == 3
    assert all(len(line) < 160 and line.endswith(".") and "\n" not in line for line in lines)


def test_names_what_the_machine_has():
    line = report(on(T4))[0]
    for fact in (
        "2 CPU cores",
        "Tesla T4",
        "15 GiB",
        "7.5",
        "Python 3.11.7",
        "torch 2.11.0",
        "triton 3.6.0",
        "numpy 2.1.3",
    ):
        assert fact in line
    assert "no CUDA GPU" in report(LAPTOP)[0]
    assert "1 CPU core," in report(dataclasses.replace(LAPTOP, cores=1))[0]


def test_without_a_gpu_kernels_are_interpreted():
    assert "interpreter" in report(LAPTOP)[1]
    assert "recorded measurements" in report(LAPTOP)[2]


def test_without_triton_the_portable_form_is_left():
    assert "no triton" in report(MAC)[0]
    assert "Linux only" in report(MAC)[1]
    assert "interpreter" not in report(MAC)[1]
    assert "skipped" in report(MAC)[2]


def test_a_t4_has_no_bfloat16_and_little_shared_memory():
    assert "not in bfloat16" in report(on(T4))[2]
    assert "64 KB" in report(on(T4))[2]


def test_an_h100_has_both():
    assert "bfloat16 included" in report(on(H100))[2]
    assert "227 KB" in report(on(H100))[2]


def test_shared_memory_that_is_unknown_is_not_mentioned():
    assert "shared memory" not in report(on(dataclasses.replace(H100, shared_memory=None)))[2]


REQUIREMENTS = [
    "scipy>=1.11.1,!=1.18.0",
    "torch>=2.8",
    "anywidget>=0.9",
    "triton>=3.4; sys_platform == 'no system'",
    "mlxtend>=0.23; extra == 'book'",
]


def test_versions_that_are_known_not_to_work_are_found():
    here = {"scipy": "1.18.0", "torch": "2.9.0+cu128", "triton": "3.3.0"}
    assert unmet(REQUIREMENTS, here.get) == (
        Unmet("scipy", "1.18.0", "scipy!=1.18.0,>=1.11.1"),
        Unmet("anywidget", None, "anywidget>=0.9"),
    )
    good = {"scipy": "1.18.1", "torch": "2.16.0.dev20261101", "anywidget": "0.9.0"}
    assert unmet(REQUIREMENTS, good.get) == ()


def test_says_what_to_do_about_each():
    facts = dataclasses.replace(
        LAPTOP, unmet=(Unmet("triton", "3.3.0", "triton>=3.4"), Unmet("tqdm", None, "tqdm>=4.66"))
    )
    lines = report(facts)
    assert lines[:3] == report(LAPTOP)
    assert "seqlab does not work with triton 3.3.0: run   pip install 'triton>=3.4'" in lines[3]
    assert "tqdm is not installed, and seqlab needs it: run   pip install 'tqdm>=4.66'" in lines[4]


def test_what_is_locked_meets_every_requirement():
    assert machine().unmet == ()


def test_looks_at_this_machine():
    facts = machine()
    assert facts.python == platform.python_version()
    assert facts.torch == torch.__version__
    assert facts.cores >= 1
    assert (facts.gpu is not None) == torch.cuda.is_available()


def test_prints_its_report(capsys):
    seqlab.doctor()
    assert capsys.readouterr().out.splitlines() == report(machine())
