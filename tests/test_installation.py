"""The package as readers install it: a wheel, with what it declares and nothing else, in an environment of its own."""

import json
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
LOOK = """
import json
from importlib import import_module
from importlib.util import find_spec
from pkgutil import walk_packages

import seqlab
from seqlab import explorers

modules = [module.name for module in walk_packages(seqlab.__path__, "seqlab.")]
for module in modules:
    import_module(module)
shown = {name: getattr(explorers, name)()._repr_mimebundle_()[0] for name in explorers.__all__}
found = {
    "place": seqlab.__file__,
    "undeclared": [each for each in ("sklearn", "jupyter_book", "pytest") if find_spec(each)],
    "modules": modules,
    "verdicts": [
        repr(seqlab.check("5.7", lambda: ([[-0.1, 10], [-10, -0.1]], 0.1))), repr(seqlab.check("5.8", None))
    ],
    "shown": {name: [*data, "seqlab-explorer" in data["text/html"]] for name, data in shown.items()},
}
print(json.dumps(found))
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
        return run(executable, "-I", *arguments, cwd=folder)

    return call


@pytest.fixture(scope="module")
def found(python):
    """What one process sees of the installation."""
    return json.loads(python("-c", LOOK).splitlines()[-1])


def test_the_wheel_alone_is_imported(found):
    assert "site-packages" in found["place"]
    assert "installed" in found["place"]


def test_nothing_undeclared_is_there(found):
    assert found["undeclared"] == []


def test_every_module_is_there(found):
    files = {file.relative_to(ROOT).with_suffix("") for file in (ROOT / "seqlab").rglob("*.py")}
    names = {".".join(file.parts).removesuffix(".__init__") for file in files} - {"seqlab"}
    assert set(found["modules"]) == names


def test_doctor(python):
    assert len(python("-m", "seqlab", "doctor").splitlines()) == 3


def test_verify(python):
    printed = python("-m", "seqlab", "verify", "--quick", "--ops", "decayed_logsumexp")
    assert "comparisons are within their bounds" in printed


@pytest.mark.thorough  # that its modules are there is seen above
def test_bench(python):
    assert "linear_scan" in python("-m", "seqlab", "bench", "--quick", "--ops", "linear_scan")


@pytest.mark.thorough  # that its modules are there is seen above
def test_train(python):
    small = ["--width", "8", "--depth", "1", "--steps", "2", "--batch-size", "4", "--device", "cpu"]
    assert "mean squared error" in python("-m", "seqlab", "train", "--task", "delay", *small)


def test_an_exercise_is_checked(found):
    assert found["verdicts"] == ["Exercise 5.7: right.", "Exercise 5.8: expected a Triton kernel, got None."]


def test_every_explorer_shows(found):
    assert len(found["shown"]) >= 3
    for name, (*kinds, has_explorer) in found["shown"].items():
        assert "application/vnd.jupyter.widget-view+json" in kinds, name
        assert has_explorer, name


def test_the_example_of_the_readme_runs(python):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.S)
    python("-c", example)


def test_an_editable_installation_imports_the_copy(tmp_path, sources):
    executable = environment(tmp_path / "environment")
    run(*PIP, "--python", executable, "install", *OFFLINE, "-e", ".", cwd=sources)
    place = run(executable, "-I", "-c", "import seqlab; print(seqlab.__file__)", cwd=tmp_path)
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
    "python -m seqlab verify": "test_verify, and for every op tests/test_verify.py",
}


def test_every_command_of_the_readme_is_run():
    blocks = re.findall(r"```bash\n(.*?)```", README, re.S)
    commands = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    assert commands == list(RUN_HERE)
    makefile = (ROOT / "Makefile").read_text("utf8")
    built = {target: set(rest.split()) for target, rest in re.findall(r"^(\w+):([^#\n]*)##", makefile, re.M)}
    assert built["book"] <= built["test"]
