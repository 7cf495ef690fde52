"""A run's model folder to the Hugging Face Hub: first what would be uploaded; then, if wanted, one commit.

The token is huggingface_hub's own affair: it takes it from the environment or from its stored login.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from huggingface_hub import CommitOperationAdd, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]

from welltuned import addresses, card
from welltuned.errors import DataError, ResourceError, UsageError
from welltuned.opening import MANIFEST, require_as_written
from welltuned.record import read_run

UNREACHABLE = cast(tuple[type[Exception], ...], HfHubHTTPError.__bases__)
"""OSError, and the base of all errors of the HTTP client that huggingface_hub is built on."""
LOG_IN = "create a token with write access, then run hf auth login, or set HF_TOKEN"


class Hub(Protocol):
    """What is needed of ``huggingface_hub.HfApi``."""

    def create_repo(self, repo_id: str, *, private: bool | None, exist_ok: bool) -> object:
        """Make a repository, or leave the one that is there as it is."""

    def create_commit(self, repo_id: str, operations: list[CommitOperationAdd], *, commit_message: str) -> object:
        """Upload files as one commit."""


@dataclass(frozen=True)
class Parcel:
    """What goes to the Hub.

    Attributes:
        repository: OWNER/NAME.
        run: the run's name.
        card: the model card as it will read there.
        files: the other files by their path in the repository.
    """

    repository: str
    run: str
    card: str
    files: dict[str, Path]

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of every file, the card first."""
        return {card.NAME: len(self.card.encode())} | {name: path.stat().st_size for name, path in self.files.items()}

    @property
    def warnings(self) -> list[str]:
        """What in the files is of use on this machine only."""
        configs = [path for name, path in self.files.items() if name.endswith("adapter_config.json")]
        bases = [json.loads(path.read_bytes()).get("base_model_name_or_path") or "" for path in configs]
        return [
            f"the adapter's config names a folder of this machine as its base model: {base}"
            for base in bases
            if base and addresses.hub_id(base) is None
        ]


def pack(run: Path, repository: str) -> Parcel:
    """Gather what is uploaded of a run; its card is written if there is none yet.

    Args:
        run: folder of a finished run.
        repository: OWNER/NAME.

    Raises:
        UsageError: no name that the Hub allows.
        DataError: there is no finished run, no model in it, or one that is damaged.
    """
    _require_name(repository)
    record, model = read_run(run), run / card.MODEL
    try:
        require_as_written(model)
    except OSError as error:
        raise DataError(
            "this run has no model",
            where=str(run),
            why=f"there is no {card.MODEL}/{MANIFEST}, which is written with the model",
            mend="run the same command again to train it anew",
        ) from error
    if not (model / card.NAME).is_file():
        card.write(run, record)
    files = {str(path.relative_to(model)): path for path in _regular(model)}
    text = files.pop(card.NAME).read_text(encoding="utf-8")
    return Parcel(repository, record.name, card.addressed(text, repository), files)


def push(parcel: Parcel, hub: Hub, private: bool) -> str:
    """Make the repository if need be, and upload everything as one commit.

    Args:
        private: whether a new repository is; one that is there already stays as it is.

    Returns:
        The address of the repository.

    Raises:
        ResourceError: nobody is logged in, the Hub cannot be reached, or it refuses.
    """
    token = get_token()
    if token is None:
        why = "an upload needs to know whose it is"
        raise ResourceError("nobody is logged in to the Hub on this machine", where="--yes", why=why, mend=LOG_IN)
    operations = [CommitOperationAdd(card.NAME, parcel.card.encode())]
    operations += [CommitOperationAdd(name, path) for name, path in parcel.files.items()]
    try:
        url = hub.create_repo(parcel.repository, private=private or None, exist_ok=True)
        hub.create_commit(parcel.repository, operations, commit_message=f"Upload {parcel.run}")
    except UNREACHABLE as error:
        raise _refused(parcel.repository, error, token) from None  # the cause may hold what was sent
    return str(url)


def _refused(repository: str, error: Exception, token: str) -> ResourceError:
    first = next(iter(str(error).splitlines()), "") or type(error).__name__
    why = first.replace(token, "***")
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        mend = LOG_IN if status in (401, 403) else "look at the repository on the Hub, or try again later"
        return ResourceError(f"the Hub refuses {repository} (HTTP {status})", where="REPO_ID", why=why, mend=mend)
    return ResourceError(
        "the Hub cannot be reached",
        where=repository,
        why=why,
        mend="connect to the network, unset HF_HUB_OFFLINE, and run the same command again",
    )


def _require_name(repository: str) -> None:
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise UsageError(
            f"{repository!r} is no name that the Hub allows", where="REPO_ID", why=str(error), mend="write OWNER/NAME"
        ) from error
    if "/" not in repository:
        why = "on the Hub every model has an owner"
        raise UsageError(f"{repository!r} does not say whose it is", where="REPO_ID", why=why, mend="write OWNER/NAME")


def _regular(folder: Path) -> Iterator[Path]:
    """The files in a folder and below, without hidden ones and links."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not path.is_symlink() and not hidden:
            yield path
