"""A model's folder as a whole, before Transformers reads any of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from welltuned.errors import DataError
from welltuned.opening.documents import parsed, require_no_code
from welltuned.opening.files import require_regular
from welltuned.opening.manifest import MANIFEST, require_as_written
from welltuned.opening.tensors import shapes_of

_JSON = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "preprocessor_config.json",
)  # fmt: skip
_INDEX = ".safetensors.index.json"
_READ = (".json", ".safetensors", ".txt", ".model", ".jinja")
"""What Transformers reads of a folder; other files, pickles among them, lie there unread."""
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
_FOLLOWED = ("transformers_weights", "fast_tokenizer_files", "weight_map")
"""Fields by which Transformers finds further files."""
MOST = 1 << 20
"""No encoder has more layers, heads or classes: a config that says so is meant to take the memory."""


def require_readable_model(folder: Path) -> None:
    """Check every file that Transformers would read of a model's folder; where it has a manifest, all of it.

    Raises:
        UsageError: the model wants to run code of its own.
        DataError: anything else that is refused.
    """
    _require_no_adapter(folder)
    for path in sorted(folder.iterdir()):
        if path.name in _JSON or path.name.endswith(_INDEX):
            _require_plain_config(path)
        elif path.suffix == ".safetensors":
            shapes_of(path)
        elif path.suffix in _READ:
            require_regular(path)
    if (folder / MANIFEST).exists():
        require_as_written(folder)


def require_own_model(folder: Path) -> None:
    """Check the model's folder of a finished run: it holds what its manifest names, and no pickle.

    Raises:
        OSError: there is no such folder, or it has no manifest.
        UsageError, DataError: as for :func:`require_readable_model`.
    """
    for path in folder.rglob("*"):
        if path.suffix.lower() in _PICKLES:
            raise DataError(
                f"{path.name} is a pickle",
                where=str(path),
                why="a pickle can run code when it is opened, and Welltuned writes none",
                mend="remove it, if you know how it came there",
            )
    require_as_written(folder)
    require_readable_model(folder)


def _require_no_adapter(folder: Path) -> None:
    """Transformers would follow such a file to another model, wherever that is."""
    if (folder / "adapter_config.json").is_symlink() or (folder / "adapter_config.json").exists():
        raise DataError(
            "this is the folder of an adapter, not of a model",
            where=str(folder / "adapter_config.json"),
            why="an adapter names another folder or Hub id to be opened in its place",
            mend="merge it into its model and save that, or name the model that it was trained on",
        )


def _require_plain_config(path: Path) -> None:
    document = parsed(path)
    if path.name in ("tokenizer.json", "vocab.json"):
        return
    require_no_code(document, path)
    for name, value in _fields(document):
        if name in _FOLLOWED:
            _require_names(value, path, name)
        elif name.endswith("_file") and isinstance(value, str) and name != "special_tokens_map_file":
            _require_stale(value, path, name)
        elif isinstance(value, int) and abs(value) > MOST and name.startswith(("num_", "n_")):
            raise DataError(
                f"{path.name} says {name} = {value:,}",
                where=str(path),
                why=f"no encoder has more than {MOST:,}, and to build it would take the machine's memory",
                mend="take config.json from the same checkpoint as the weights",
            )


def _fields(document: Any) -> Iterator[tuple[str, Any]]:
    """Every field of an object and of the objects in it."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield name, value
            if name not in _FOLLOWED:
                yield from _fields(value)


def _require_names(value: Any, path: Path, field: str) -> None:
    """Refuse files named for opening that are not beside this one, or are pickles."""
    named = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
    for name in dict.fromkeys(one for one in named if one is not None):
        plain = isinstance(name, str) and Path(name).name == name and "\\" not in name and name != ".."
        right = plain and name.endswith(".json" if field == "fast_tokenizer_files" else ".safetensors")
        if not right or (field != "fast_tokenizer_files" and not (path.parent / name).exists()):
            raise DataError(
                f"{path.name} names the file {name!r} in {field}",
                where=str(path),
                why="only JSON and safetensors that lie beside it are read",
                mend="take all files of the model from one checkpoint",
            )


def _require_stale(value: str, path: Path, field: str) -> None:
    """A path of the machine that wrote the config means nothing here; one that leads somewhere is refused."""
    target = path.parent / value
    if not target.exists():
        return
    if not Path(value).is_absolute() and ".." not in Path(value).parts:
        require_regular(target, path.parent)
    else:
        raise DataError(
            f"{path.name} names the file {value!r} in {field}",
            where=str(path),
            why="it lies outside the model's folder",
            mend=f"remove {field} from {path.name}",
        )
