"""Checkpoints as transformers saves them: a folder with a config.json and the tensors of
a model. Nothing that is in one is run, whoever it comes from."""

import json
import pickle
import re
import zipfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from seqlab.ops.arguments import positive_integer

Model = TypeVar("Model", bound=nn.Module)

SAFETENSORS = "model.safetensors"
PICKLED = "pytorch_model.bin"
INDEX = ".index.json"
SEVERAL = 5
"""Names that a sentence lists before it ends in an ellipsis."""


def read_config(
    path: str | PathLike[str], model_type: str, sizes: Collection[str] = ()
) -> dict[str, Any]:
    """The config.json of a checkpoint.

    Args:
        path: its folder.
        model_type: the kind of model that it has to be of.
        sizes: the names that have to be there, with positive integers.

    Raises:
        FileNotFoundError: there is no such folder, or no config.json in it.
        TypeError, ValueError: the file is damaged, of another kind of model, or lacks a
            size.
    """
    folder = _folder(path)
    config = _json(folder / "config.json")
    found = config.get("model_type")
    if found != model_type:
        raise ValueError(
            f"path: expected a checkpoint whose model_type is {model_type!r}, got {found!r} "
            f"in {folder / 'config.json'}"
        )
    for name in sizes:
        if config.get(name) is None:
            raise ValueError(
                f"path: expected a {name} in {folder / 'config.json'}, got none"
            )
        positive_integer(name, config[name])
    return config


def read_tensors(path: str | PathLike[str]) -> dict[str, Tensor]:
    """The tensors of a checkpoint by their names, on the CPU: of model.safetensors or, if
    there is none, of pytorch_model.bin; whole or in the shards that an index lists.

    A .bin file is a pickle, which may hold code: it is read by torch's reader of weights
    alone, and refused if there is anything else in it.

    Raises:
        FileNotFoundError: there is no such folder, or it lacks a file.
        ModuleNotFoundError: the package safetensors is needed and not installed.
        ValueError: a file is damaged, or contains something other than tensors.
    """
    folder = _folder(path)
    tensors: dict[str, Tensor] = {}
    for file in _files(folder):
        read = _safetensors if file.suffix == ".safetensors" else _pickled
        for name, x in read(file):
            if name in tensors:
                raise ValueError(
                    f"path: expected every tensor in one file of {folder}, got {name!r} in two"
                )
            tensors[name] = x
    return tensors


def check_depth(
    tensors: Mapping[str, Tensor],
    prefix: str,
    depth: int,
    path: str | PathLike[str],
) -> None:
    """Raise ValueError unless there are tensors of as many blocks as a config.json says,
    whose names are ``prefix``, the block's number, and a dot. Blocks take time to make,
    however small they are."""
    numbers = {
        name.removeprefix(prefix).partition(".")[0]
        for name in tensors
        if name.startswith(prefix)
    }
    if len(numbers) != depth:
        raise ValueError(
            f"path: expected num_hidden_layers = {depth} blocks in {path}, got {len(numbers)}"
        )


def made_of(
    make: Callable[[], Model],
    tensors: Mapping[str, Tensor],
    path: str | PathLike[str],
    names: Sequence[tuple[str, str]] = (),
) -> Model:
    """The module that ``make`` makes of the sizes in a config.json, with the tensors in
    it, as `fill` puts them there. It takes no memory before they are found to fit.

    Raises:
        ValueError: as for `fill`, or the sizes are none that a tensor could have.
    """
    try:
        with torch.device("meta"):
            module = make()
    except RuntimeError as error:  # bytes that no 64 bits can count
        raise ValueError(
            f"path: expected sizes of tensors in {Path(path) / 'config.json'}, got too large "
            f"ones: {_first_line(error)}"
        ) from error
    fill(module, tensors, path, names)
    return module


def fill(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    path: str | PathLike[str],
    names: Sequence[tuple[str, str]] = (),
) -> None:
    """Put the tensors in the places of a module's parameters and buffers, in the dtypes
    that these have; those on the meta device come to be on torch's default device.

    Args:
        module: a module whose every parameter and buffer is one of the tensors.
        tensors: floating-point numbers, as `read_tensors` gives them.
        path: where they are from, for the sentence that says what is wrong.
        names: patterns of re with their replacements, which, applied one after the
            other, turn a name in the module into one in the checkpoint.

    Raises:
        ValueError: a tensor is missing, has another shape or no floating-point numbers,
            or does not belong to the module.
    """
    places = {}
    for own, place in module.state_dict().items():
        name = own
        for pattern, theirs in names:
            name = re.sub(pattern, theirs, name)
        places[name] = own, place
    missing = sorted(places.keys() - tensors.keys())
    if missing:
        raise ValueError(
            f"path: expected tensors {_listed(missing)} in {path}, got none"
        )
    unexpected = sorted(tensors.keys() - places.keys())
    if unexpected:
        raise ValueError(
            f"path: expected tensors of a {type(module).__name__} alone in {path}, got also "
            f"{_listed(unexpected)}"
        )
    for name, (_, place) in places.items():
        x = tensors[name]
        if x.shape != place.shape or not x.is_floating_point():
            raise ValueError(
                f"{name}: expected floating-point numbers of shape {tuple(place.shape)}, as "
                f"config.json has it, got {x.dtype} of shape {tuple(x.shape)} in {path}"
            )
    filled = {}
    for name, (own, place) in places.items():
        on_meta = place.device.type == "meta"
        device = torch.get_default_device() if on_meta else place.device
        # A copy: tensors of a file may share memory, with each other or with the file.
        filled[own] = tensors[name].detach().to(device, place.dtype, copy=True)
    module.load_state_dict(filled, assign=True)


def _folder(path: str | PathLike[str]) -> Path:
    if not isinstance(path, str | PathLike):
        raise TypeError(
            f"path: expected the path of a folder, got {type(path).__name__}"
        )
    folder = Path(path)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"path: expected a folder with a checkpoint, got {str(path)!r}, which is none; "
            "nothing is downloaded here"
        )
    return folder


def _files(folder: Path) -> list[Path]:
    """The files with the tensors."""
    for name in (SAFETENSORS, PICKLED):
        if (folder / name).exists():
            return [folder / name]
        index = folder / (name + INDEX)
        if index.exists():
            return [folder / shard for shard in _shards(index)]
    raise FileNotFoundError(
        f"path: expected {SAFETENSORS} or {PICKLED} in {folder}, or an index of its shards, "
        "got neither"
    )


def _shards(index: Path) -> list[str]:
    """The names of the files that an index lists, each beside it."""
    listed = _json(index).get("weight_map")
    shards = list(listed.values()) if isinstance(listed, dict) else []
    suffix = Path(index.name.removesuffix(INDEX)).suffix
    # A name with a folder in it could lead anywhere.
    if not shards or not all(
        isinstance(shard, str) and Path(shard).name == shard and shard.endswith(suffix)
        for shard in shards
    ):
        raise ValueError(
            f"path: expected the names of {suffix} files beside it in the weight_map of "
            f"{index}, got {_listed(sorted(set(map(str, shards))))}"
        )
    return sorted(set(shards))


def _json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise FileNotFoundError(
            f"path: expected a {file.name} in {file.parent}, got none"
        )
    try:
        content = json.loads(file.read_text("utf8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"path: expected JSON in {file}, got {error}") from None
    if not isinstance(content, dict):
        raise ValueError(
            f"path: expected a JSON object in {file}, got {type(content).__name__}"
        )
    return content


def _safetensors(file: Path) -> Iterator[tuple[str, Tensor]]:
    _check_there(file)
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{file} is read by safetensors, which is not installed: run `pip install "
            "safetensors`",
            name="safetensors",
        ) from error
    try:
        tensors = load_file(file)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"path: expected tensors in {file}, got a damaged file: {error}"
        ) from error
    yield from tensors.items()


def _pickled(file: Path) -> Iterator[tuple[str, Tensor]]:
    _check_there(file)
    _check_size(file, _unpacked(file), times=1)
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"path: expected tensors alone in {file}, got a damaged file or one with code in "
            f"it, none of which was run: {_first_line(error)}"
        ) from error
    except Exception as error:  # a reader that is fed garbage raises anything
        raise ValueError(
            f"path: expected tensors in {file}, got a damaged file: {_first_line(error)}"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(
            f"path: expected a dictionary of tensors in {file}, got {type(content).__name__}"
        )
    for name, x in content.items():
        plain = type(x) in (Tensor, nn.Parameter) and x.layout is torch.strided
        if not (isinstance(name, str) and plain and x.device.type == "cpu"):
            raise ValueError(
                f"path: expected dense tensors with names in {file}, got {type(x).__name__} "
                f"named {name!r}"
            )
    # Numbers may be shared, as those of embeddings and logits are, or stand for many.
    _check_size(file, sum(x.nbytes for x in content.values()), times=2)
    yield from content.items()


def _unpacked(file: Path) -> int:
    """Bytes of what is in a zip file, which torch.save does not compress; 0 if it is
    none."""
    try:
        with zipfile.ZipFile(file) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError):
        return 0


def _check_size(file: Path, size: int, times: int) -> None:
    """Raise ValueError if what is in a file takes more memory than a file of weights so
    large can be honest about."""
    most = times * file.stat().st_size
    if size > most:
        raise ValueError(
            f"path: expected tensors of at most {most} bytes in {file}, got {size} bytes"
        )


def _check_there(file: Path) -> None:
    if not file.exists():
        raise FileNotFoundError(
            f"path: expected {file.name} in {file.parent}, which its index lists, got none"
        )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _listed(names: list[str]) -> str:
    listed = ", ".join(map(repr, names[:SEVERAL])) or "none"
    return listed + ", ..." * (len(names) > SEVERAL)
