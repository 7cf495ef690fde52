"""A source's name to raw tables by split: built-in sets, files, folders and the Hugging Face Hub."""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from welltuned.data.readers import READERS, read_table
from welltuned.data.table import Table
from welltuned.errors import DataError

SPLITS = {
    "train": ("train", "training"),
    "dev": ("dev", "validation", "valid", "val", "eval", "development"),
    "test": ("test", "testing"),
}
"""Our splits, and the names they go by."""

TEST_SHARE = 0.15
"""Share of train that becomes the test split where none is supplied."""

MEMORY = "memory:"
"""How the address of rows begins that a program holds in memory."""

_SHARD = re.compile(r"(?P<stem>.+)-(?P<at>\d{5})-of-(?P<of>\d{5})")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]+)?")
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")


@dataclass(frozen=True)
class Source:
    """Raw tables of one data set.

    Attributes:
        name: what the set is called in tables.
        tables: split ("train", "dev", "test") to its table; at least one.
        notes: what was mapped or left out.
        test_share: share of train to cut for test where there is no test table; 0 for no test split at all.
    """

    name: str
    tables: dict[str, Table]
    notes: tuple[str, ...] = ()
    test_share: float = TEST_SHARE


@dataclass(frozen=True)
class _HubSet:
    """How a well-known Hub set is loaded and cut."""

    path: str
    config: str | None = None
    test_share: float = TEST_SHARE


# Of BoolQ's 9,427 training rows 8,000 are trained on and 1,427 are kept for test.
_BOOLQ_TEST = 1427 / 9427
_HUB_SETS = {
    "boolq": _HubSet("google/boolq", test_share=_BOOLQ_TEST),
    "google/boolq": _HubSet("google/boolq", test_share=_BOOLQ_TEST),
    "super_glue/boolq": _HubSet("aps/super_glue", "boolq", test_share=_BOOLQ_TEST),
}


def read_source(source: str, seed: int) -> Source:
    """Raw tables of ``builtin:NAME``, a file, a folder, or a Hub id (``owner/name`` or ``owner/name:config``).

    Args:
        source: as given by the user.
        seed: decides the rows of generated sets.

    Raises:
        DataError: nothing is found there, or it cannot be read.
    """
    if source.startswith("builtin:"):
        return _builtin(source.removeprefix("builtin:"), seed)
    if source.startswith(MEMORY):
        raise _in_memory(source)
    if not source.strip():
        raise DataError("the source is empty", mend="name a file, a folder, a Hub id, or builtin:yesno")
    path = place(source)
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return _file(path)
    if os.path.lexists(path):
        raise _not_regular(path)
    if _looks_like_path(source):
        raise _absent(path)
    return _hub(source)


def place(source: str) -> Path:
    """The path that a source would be, its home folder filled in.

    Raises:
        DataError: no file can have this name, or it lies where nothing can be looked up.
    """
    try:
        source.encode()
        path = Path(source).expanduser()
        path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # the last for the home folder of an unknown user
        raise DataError(
            "the source cannot be looked for",
            where=ascii(source if len(source) <= 80 else source[:77] + "..."),
            why=getattr(error, "strerror", None) or str(error),
            mend="name a file, a folder, a Hub id, or builtin:yesno",
        ) from error
    return path


def hub_id(source: str) -> str | None:
    """The Hub id of the set that a source names, without its configuration; None where it lies elsewhere."""
    elsewhere = source.startswith(("builtin:", MEMORY)) or os.path.lexists(place(source)) or _looks_like_path(source)
    return None if elsewhere else _HUB_SETS.get(source.casefold(), _HubSet(source.partition(":")[0])).path


# --- built-in ---------------------------------------------------------------------------------------


def builtin_names() -> list[str]:
    """Names of the generated sets: the packages in this folder."""
    return sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if module.ispkg)


def _builtin(name: str, seed: int) -> Source:
    names = builtin_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        raise DataError(
            f"there is no built-in set {name!r}",
            where=f"builtin:{name}",
            mend=f"use {' or '.join('builtin:' + known for known in near or names)}",
        )
    generate = importlib.import_module(f"welltuned.data.{name}.generate").generate
    splits: dict[str, list[Any]] = generate(seed)
    return Source(name, {split: _generated(name, split, rows) for split, rows in splits.items()})


def _generated(name: str, split: str, rows: list[Any]) -> Table:
    fields = ("question", "passage", "answer")
    columns = {field: [getattr(row, field) for row in rows] for field in fields}
    return Table(split, columns, tuple(f"builtin:{name}/{split}:{at}" for at in range(1, len(rows) + 1)))


# --- files and folders ------------------------------------------------------------------------------


def _file(path: Path) -> Source:
    table = read_table(path)
    return Source(path.stem, {"train": table}, table.notes)


def _folder(path: Path) -> Source:
    found = _split_files(path)
    if not found:
        raise _nothing_in(path)
    _refuse_two(path, found)
    if "train" not in found:
        names = ", ".join(file.name for files in found.values() for file in files)
        raise DataError(
            "the folder has no train file",
            where=str(path),
            why=f"there is only {names}",
            mend=f"add train{next(iter(found.values()))[0].suffix}, or give the one file itself to have it cut",
        )
    tables = {split: _joined([read_table(file) for file in found[split]]) for split in SPLITS if split in found}
    notes = tuple(note for table in tables.values() for note in table.notes)
    return Source(path.resolve().name, tables, notes)


def _split_files(path: Path) -> dict[str, list[Path]]:
    try:
        files = sorted(file for file in path.iterdir() if not file.name.startswith("."))
    except OSError as error:
        raise DataError(
            f"the folder cannot be read: {error.strerror}", where=str(path), mend=f"chmod u+rx {path}"
        ) from error
    found: dict[str, list[Path]] = {}
    for file in files:
        suffixes = [suffix.lower() for suffix in file.suffixes]
        if suffixes and (suffixes[-1] in READERS or (suffixes[-1] in _COMPRESSED and len(suffixes) > 1)):
            split = _split_name(_stem(file))
            if split is not None:
                found.setdefault(split, []).append(file)
    return found


def _stem(file: Path) -> str:
    stem = file.name.split(".", 1)[0]
    shard = _SHARD.fullmatch(stem)
    return shard["stem"] if shard else stem


def _split_name(name: str) -> str | None:
    return next((split for split, names in SPLITS.items() if name.casefold() in names), None)


def _refuse_two(path: Path, found: Mapping[str, list[Path]]) -> None:
    """Several files of one split are only right where they are all the numbered shards of one."""
    for split, files in found.items():
        shards = [_SHARD.fullmatch(file.name.split(".", 1)[0]) for file in files]
        if len(files) > 1 and not all(shards):
            raise DataError(
                f"more than one file for the {split} split: {', '.join(file.name for file in files)}",
                where=str(path),
                mend="keep one of them in the folder",
            )
        if shards[0] and len(files) != int(shards[0]["of"]):
            raise DataError(
                f"{len(files)} of {int(shards[0]['of'])} shards of the {split} split are there",
                where=str(path / files[0].name),
                mend="copy the missing shards into the folder",
            )


def _joined(tables: list[Table]) -> Table:
    if len(tables) == 1:
        return tables[0]
    names = dict.fromkeys(name for table in tables for name in table.columns)
    columns = {name: [v for table in tables for v in table.columns.get(name, [None] * len(table))] for name in names}
    origin = tuple(place for table in tables for place in table.origin)
    notes = tuple(note for table in tables for note in table.notes)
    return Table(tables[0].name, columns, origin, tables[0].classes, notes, tables[0].unread)


def _nothing_in(path: Path) -> DataError:
    there = sorted(file.name + "/" * file.is_dir() for file in path.iterdir())
    listed = ", ".join(there[:10]) + (f" and {len(there) - 10} more" if len(there) > 10 else "")
    return DataError(
        "the folder has no train, dev or test file",
        where=str(path),
        why=f"it holds {listed}" if there else "it is empty",
        mend=f"name them train, dev and test with one of {', '.join(READERS)}, or give one file",
    )


def _looks_like_path(source: str) -> bool:
    suffix = Path(source).suffix.lower()
    return (
        source[0] in "./~\\"
        or source.count("/") > 1
        or source.endswith("/")
        or "\\" in source
        or suffix in (*READERS, *_COMPRESSED, ".txt", ".xlsx", ".xls")
        or ("/" in source and Path(source).parent.is_dir())
    )


def _in_memory(source: str) -> DataError:
    return DataError(
        "these rows are not on this disk",
        where=source,
        why="they lay in the memory of the Python program that trained on them",
        mend="let that program hand them over again, or write them to a file and name it",
    )


def _absent(path: Path) -> DataError:
    parent = path.parent
    if not parent.is_dir():
        return DataError("no such file or folder", where=str(path), why=f"there is no folder {parent}")
    there = sorted(file.name for file in parent.iterdir())
    near = difflib.get_close_matches(path.name, there, n=3, cutoff=0.5)
    return DataError(
        "no such file or folder",
        where=str(path),
        why=f"{parent.resolve()} holds " + (", ".join(there[:10]) or "nothing"),
        mend=f"did you mean {' or '.join(near)}?" if near else "check the spelling and the working folder",
    )


def _not_regular(path: Path) -> DataError:
    if path.is_symlink():
        return DataError(
            f"a symbolic link to {path.readlink()}, which is not there",
            where=str(path),
            mend="link it to an existing file",
        )
    return DataError("not a regular file", where=str(path), mend="write the rows to a file first")


# --- Hub --------------------------------------------------------------------------------------------


def _hub(source: str) -> Source:
    if not _HUB_ID.fullmatch(source):
        raise DataError(
            f"{source!r} is neither a file, a folder nor a Hub id",
            mend="name a file, a folder, an id like google/boolq, or builtin:yesno",
        )
    path, _, config = source.partition(":")
    known = _HUB_SETS.get(source.casefold(), _HubSet(path, config or None))
    splits = _download(source, known)
    tables, notes = tables_of(splits, source)
    return Source(source, tables, notes, known.test_share)


def _download(source: str, known: _HubSet) -> Mapping[str, Any]:
    # Importing datasets costs over a second, which local files need not pay.
    import datasets

    try:
        with _offline_without_network():
            loaded: Mapping[str, Any] = datasets.load_dataset(known.path, known.config)
    except Exception as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(
            f"the Hub set {known.path!r} could not be loaded",
            where=source,
            why=f"{type(error).__name__}: {first}",
            mend=_hub_mend(source, first),
        ) from error
    return loaded


@contextmanager
def _offline_without_network() -> Iterator[None]:
    """Where the Hub's name does not resolve, look into the cache at once instead of retrying for 25 seconds."""
    import datasets
    import huggingface_hub

    host = urlsplit(huggingface_hub.constants.ENDPOINT).hostname
    before = huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if not any(before) and not getproxies() and not _resolves(host):
        huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def _resolves(host: str | None) -> bool:
    try:
        return bool(socket.getaddrinfo(host, None))
    except OSError:
        return False


def _hub_mend(source: str, message: str) -> str:
    if "onfig name is missing" in message:
        return f"name the configuration too: {source}:CONFIG"
    return (
        "check the id and the network; without a network give a local file or a folder of "
        "train/dev/test files, or use builtin:yesno"
    )


def tables_of(splits: Mapping[str, Any], source: str) -> tuple[dict[str, Table], tuple[str, ...]]:
    """Raw tables of a ``datasets.DatasetDict``, its splits mapped by name.

    Raises:
        DataError: there is no train split, or two splits go by one of our names.
    """
    chosen: dict[str, str] = {}
    for name in splits:
        split = _split_name(str(name))
        if split is None:
            continue
        if split in chosen:
            raise DataError(
                f"more than one {split} split: {chosen[split]} and {name}",
                where=source,
                mend="save the splits you mean as files train, dev and test in one folder",
            )
        chosen[split] = str(name)
    if "train" not in chosen:
        raise DataError(
            "there is no train split",
            where=source,
            why=f"the splits are {', '.join(map(str, splits))}",
            mend="save the splits you mean as files train, dev and test in one folder",
        )
    tables = {split: _hub_table(splits[chosen[split]], source, chosen[split]) for split in SPLITS if split in chosen}
    return tables, _hub_notes(splits, chosen, source)


def _hub_notes(names: Iterable[Any], chosen: Mapping[str, str], source: str) -> tuple[str, ...]:
    notes = [f"{source}: the split {theirs!r} is taken as {ours}" for ours, theirs in chosen.items() if ours != theirs]
    if left := [str(name) for name in names if str(name) not in chosen.values()]:
        notes.append(f"{source}: the splits {', '.join(left)} are not used")
    return tuple(notes)


def _hub_table(rows: Any, source: str, name: str) -> Table:
    features = rows.features
    # Images and sound would be decoded on access, and are neither text nor label.
    plain = [column for column in features if not hasattr(features[column], "decode")]
    columns = {column: list(rows.with_format(None)[column]) for column in plain}
    classes = {column: tuple(features[column].names) for column in plain if hasattr(features[column], "names")}
    origin = tuple(f"{source}/{name}:{at}" for at in range(1, len(rows) + 1))
    return Table(f"{source}/{name}", columns, origin, classes)
