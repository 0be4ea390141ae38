"""Files from wheels: where they are looked for, in which order, and what is said when they are nowhere."""

import hashlib
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from seqlab.tasks import package_data
from seqlab.tasks.package_data import package_files, package_source

CONTENTS = {"vowels/data/a.txt": b"ae", "vowels/data/b.txt": b"ea"}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENTS.items()}


@pytest.fixture
def index(monkeypatch):
    """A stand-in for pip that serves a wheel of the files above, and writes down what it was asked."""
    asked = []

    def download(command, **options):
        asked.append(command)
        (folder,) = (Path(part.removeprefix("--dest=")) for part in command if part.startswith("--dest="))
        with ZipFile(folder / "vowels-1.0-py3-none-any.whl", "w") as wheel:
            for name, content in CONTENTS.items():
                wheel.writestr(name, content)
            wheel.writestr("vowels/__init__.py", "raise ImportError")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", download)
    return asked


def install(place, contents):
    for name, content in {"vowels/__init__.py": b"raise ImportError('imported')", **contents}.items():
        path = place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_the_wheel_is_fetched_once_alone_and_only_the_files_named_are_kept(index, tmp_path):
    assert package_files("vowels", "1.0", SHA256, tmp_path) == CONTENTS
    assert package_files("vowels", "1.0", SHA256, tmp_path) == CONTENTS
    (command,) = index
    assert command[:5] == [sys.executable, "-m", "pip", "download", "vowels==1.0"]
    assert "--no-deps" in command
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == set(CONTENTS)


def test_an_installed_package_serves_and_is_not_imported(index, tmp_path, monkeypatch):
    install(tmp_path / "site", CONTENTS)
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert package_files("vowels", "1.0", SHA256, tmp_path / "kept") == CONTENTS
    assert "vowels" not in sys.modules
    assert not index
    assert not (tmp_path / "kept").exists()


def test_an_installed_package_with_other_files_does_not(index, tmp_path, monkeypatch):
    install(tmp_path / "site", CONTENTS | {"vowels/data/b.txt": b"of another version"})
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert package_files("vowels", "1.0", SHA256, tmp_path / "kept") == CONTENTS
    assert len(index) == 1


def test_damaged_and_missing_files_are_fetched_again(index, tmp_path):
    package_files("vowels", "1.0", SHA256, tmp_path)
    (tmp_path / "vowels/data/a.txt").write_bytes(b"cut sh")
    assert package_files("vowels", "1.0", SHA256, tmp_path) == CONTENTS
    (tmp_path / "vowels/data/b.txt").unlink()
    assert package_files("vowels", "1.0", SHA256, tmp_path) == CONTENTS
    assert len(index) == 3


def test_a_wheel_with_another_file_is_refused_and_not_kept(index, tmp_path):
    wrong = SHA256 | {"vowels/data/b.txt": "0" * 64}
    with pytest.raises(OSError, match=r"vowels/data/b\.txt of vowels 1\.0: its checksum is wrong"):
        package_files("vowels", "1.0", wrong, tmp_path)
    assert not list(tmp_path.iterdir())


def test_files_are_kept_in_the_users_cache(index, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    package_files("vowels", "1.0", SHA256)
    assert (tmp_path / "xdg/seqlab/vowels-1.0/vowels/data/a.txt").read_bytes() == b"ae"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    package_files("vowels", "1.0", SHA256)
    assert (tmp_path / "home/.cache/seqlab/vowels-1.0/vowels/data/b.txt").read_bytes() == b"ea"


def failing(message):
    return lambda command, **options: subprocess.CompletedProcess(command, 1, "", message)


def test_without_cache_and_network_it_is_said_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(subprocess, "run", failing("WARNING: Retrying\nERROR: No matching distribution\n\n"))
    with pytest.raises(ConnectionError) as caught:
        package_files("vowels", "1.0", SHA256, tmp_path / "kept")
    assert str(caught.value) == (
        f"data that ships in vowels==1.0 is fetched once, and kept in {tmp_path / 'kept'}; "
        "it is not there, and pip could not fetch it: ERROR: No matching distribution"
    )
    monkeypatch.setattr(subprocess, "run", failing(""))
    with pytest.raises(ConnectionError, match="it gave no reason"):
        package_files("vowels", "1.0", SHA256, tmp_path / "kept")


def test_a_download_that_hangs_is_ended(monkeypatch, tmp_path):
    def hang(command, timeout, **options):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    with pytest.raises(ConnectionError, match=f"longer than {package_data.TIMEOUT_SECONDS} s"):
        package_files("vowels", "1.0", SHA256, tmp_path)


def test_pip_itself_says_no_when_there_is_no_such_package(tmp_path, monkeypatch):
    """The real pip, kept from every index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ConnectionError, match=r"No matching distribution found for vowels==1\.0"):
        package_files("vowels", "1.0", SHA256, tmp_path)


# ------------------------------------------------------------------------------------- archives of a source

ARCHIVE = b"what a source is packed into"
ARCHIVE_SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


@pytest.fixture
def sources(monkeypatch):
    """A stand-in for pip that has the archive above, and writes down what it was asked."""
    asked = []

    def download(command, **options):
        (wanted,) = (part.removeprefix("--requirement=") for part in command if "--requirement=" in part)
        (folder,) = (Path(part.removeprefix("--dest=")) for part in command if part.startswith("--dest="))
        asked.append((command, Path(wanted).read_text()))
        (folder / "vowels-1.0.tar.gz").write_bytes(ARCHIVE)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", download)
    return asked


def test_a_source_is_fetched_once_by_its_checksum_and_not_installed(sources, tmp_path):
    assert package_source("vowels", "1.0", ARCHIVE_SHA256, tmp_path) == ARCHIVE
    assert package_source("vowels", "1.0", ARCHIVE_SHA256, tmp_path) == ARCHIVE
    ((command, wanted),) = sources
    assert command[1:4] == ["-m", "pip", "download"]
    assert {"--no-deps", "--no-binary=:all:"} <= set(command)
    assert wanted == f"vowels==1.0 --hash=sha256:{ARCHIVE_SHA256}"


def test_a_damaged_source_is_fetched_again(sources, tmp_path):
    (tmp_path / "vowels-1.0.tar.gz").write_bytes(ARCHIVE[:3])
    assert package_source("vowels", "1.0", ARCHIVE_SHA256, tmp_path) == ARCHIVE
    assert (tmp_path / "vowels-1.0.tar.gz").read_bytes() == ARCHIVE


def test_a_source_that_pip_cannot_have_is_said_to_be_missing(tmp_path, monkeypatch):
    """The real pip, kept from every index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ConnectionError, match=r"vowels==1\.0 is fetched once.*No matching distribution"):
        package_source("vowels", "1.0", ARCHIVE_SHA256, tmp_path)
