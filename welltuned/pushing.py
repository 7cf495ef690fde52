"""A run's model folder to the Hugging Face Hub: first what would be uploaded, then, if wanted, the upload in one commit.

The token is huggingface_hub's own affair: it takes it from the environment or from its stored login.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from huggingface_hub import CommitOperationAdd, get_token
from huggingface_hub.errors import HFValidationError, HfHubHTTPError, OfflineModeIsEnabled
from huggingface_hub.utils import validate_repo_id

from welltuned import addresses, card
from welltuned.errors import DataError, ResourceError, UsageError
from welltuned.record import ComparisonRecord, SearchRecord, read_run

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
            if addresses.hub_id(base) is None
        ]


def pack(run: Path, repository: str) -> Parcel:
    """Gather what is uploaded of a run; its card is written if there is none yet.

    Args:
        run: folder of a finished run.
        repository: OWNER/NAME.

    Raises:
        UsageError: no name that the Hub allows.
        DataError: there is no finished run, or no model in it.
    """
    _require_name(repository)
    record, model = read_run(run), run / card.MODEL
    if not (model / "config.json").is_file():
        raise DataError("this run has no model", where=str(run), mend="run the same command again to train it anew")
    if not (model / card.NAME).is_file():
        card.write(run, record)
    files = {str(path.relative_to(model)): path for path in _regular(model)}
    text = files.pop(card.NAME).read_text(encoding="utf-8")
    return Parcel(repository, record.name, card.addressed(text, repository), files)
