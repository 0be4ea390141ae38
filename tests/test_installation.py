"""The package as readers install it: a wheel, with what it declares and nothing else, in an environment of its own."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
import venv
from importlib.metadata import distribution
from pathlib import Path
from time import monotonic, sleep
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf8")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
OFFLINE = ["--quiet", "--no-index", "--no-build-isolation"]
EXPLORE = """
from seqlab import explorers
for name in explorers.__all__:
    data, _ = getattr(explorers, name)()._repr_mimebundle_()
    print(name, "application/vnd.jupyter.widget-view+json" in data, "seqlab-explorer" in data["text/html"])
"""


def run(*command: object, **options) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
    return done.stdout


def closure(requirements: list[str]) -> set[str]:
    """The names of packages that these requirements need, and those need in turn."""
    found: set[str] = set()
    waiting = [*map(Requirement, requirements)]
    while waiting:
        each = waiting.pop()
        if each.name in found or (each.marker and not each.marker.evaluate({"extra": ""})):
            continue
        found.add(each.name)
        waiting += map(Requirement, distribution(each.name).requires or [])
    return found


def environment(folder: Path) -> Path:
    """The Python of a new environment with what pyproject.toml declares, linked from where the tests run."""
    venv.create(folder, symlinks=True)
    here = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf8"))["project"]
    for name in closure(project["dependencies"]):
        package = distribution(name)
        for top in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
            if not (here / top).exists():
                (here / top).symlink_to(package.locate_file(top))
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of what the package is built from."""
    copy = tmp_path_factory.mktemp("sources")
    shutil.copytree(ROOT / "seqlab", copy / "seqlab", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(sources):
    run(*PIP, "wheel", *OFFLINE, "--no-deps", "--wheel-dir", sources / "dist", sources)
    return next((sources / "dist").glob("*.whl"))


@pytest.fixture(scope="module")
def python(tmp_path_factory, wheel):
    """python(*arguments) -> what it prints, where the wheel is installed and away from any copy of the project."""
    folder = tmp_path_factory.mktemp("installed")
    executable = environment(folder / "environment")
    # With its dependencies, as pip finds them in the wheel: all of them are there, or this fails.
    run(*PIP, "--python", executable, "install", *OFFLINE, wheel)

    def call(*arguments: str) -> str:
        return run(executable, "-P", *arguments, cwd=folder)

    return call


def test_the_wheel_alone_is_imported(python):
    place = python("-c", "import seqlab; print(seqlab.__file__)")
    assert "site-packages" in place
    assert "installed" in place


def test_nothing_undeclared_is_there(python):
    undeclared = ("sklearn", "jupyter_book", "pytest")
    found = f"from importlib.util import find_spec; print([each for each in {undeclared} if find_spec(each)])"
    assert python("-c", found).strip() == "[]"


def test_doctor(python):
    assert len(python("-m", "seqlab", "doctor").splitlines()) == 3


def test_verify(python):
    assert "comparisons are within their bounds" in python("-m", "seqlab", "verify", "--quick")


def test_bench(python):
    assert "linear_scan" in python("-m", "seqlab", "bench", "--quick", "--ops", "linear_scan")


def test_train(python):
    small = ["--width", "8", "--depth", "1", "--steps", "2", "--batch-size", "4", "--device", "cpu"]
    assert "mean squared error" in python("-m", "seqlab", "train", "--task", "delay", *small)


def test_an_exercise_is_checked(python):
    answer = "lambda: ([[-0.1, 10], [-10, -0.1]], 0.1)"
    told = python("-c", f"import seqlab; print(seqlab.check('5.7', {answer}), seqlab.check('5.8', None))")
    assert told == "Exercise 5.7: right. Exercise 5.8: expected a Triton kernel, got None.\n"


def test_every_explorer_shows(python):
    shown = python("-c", EXPLORE).splitlines()
    assert len(shown) >= 3
    assert all(line.endswith(" True True") for line in shown)


def test_the_example_of_the_readme_runs(python):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.S)
    python("-c", example)


def test_an_editable_installation_imports_the_copy(tmp_path, sources):
    executable = environment(tmp_path / "environment")
    run(*PIP, "--python", executable, "install", *OFFLINE, "-e", ".", cwd=sources)
    place = run(executable, "-P", "-c", "import seqlab; print(seqlab.__file__)", cwd=tmp_path)
    assert Path(place.strip()) == sources / "seqlab" / "__init__.py"


def test_make_read_serves_the_book(site):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = [f"--assume-old={each}" for each in ("_build/html/.built", ".venv/.installed")]
    server = subprocess.Popen(
        ["make", *made, "read", f"PORT={port}"], cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True
    )
    try:
        assert "<html" in page(f"http://127.0.0.1:{port}/book/index.html")
        assert "book/index.html" in page(f"http://127.0.0.1:{port}/")  # where a reader is sent from the root
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def page(address: str) -> str:
    """The page, once a server that has just been started sends it."""
    late = monotonic() + 20
    while True:
        try:
            with urlopen(address) as answer:
                return answer.read().decode()
        except URLError:
            if monotonic() > late:
                raise
            sleep(0.1)


RUN_HERE = {
    "make book": "make test builds the book by the same target",
    "make read": "test_make_read_serves_the_book",
    "make pdf": "tests/book/test_print_book.py, on two small pages",
    "pip install -e .": "test_an_editable_installation_imports_the_copy",
    "python -m seqlab doctor": "test_doctor",
    "python -m seqlab verify": "test_verify, and in full tests/test_verify.py",
}


def test_every_command_of_the_readme_is_run():
    blocks = re.findall(r"```bash\n(.*?)```", README, re.S)
    commands = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    assert commands == list(RUN_HERE)
    makefile = (ROOT / "Makefile").read_text("utf8")
    built = {target: set(rest.split()) for target, rest in re.findall(r"^(\w+):([^#\n]*)##", makefile, re.M)}
    assert built["book"] <= built["test"]
