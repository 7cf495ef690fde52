"""A finished run as a checkpoint that plain Transformers opens by itself, whatever was added folded in."""

from __future__ import annotations

import shutil
from pathlib import Path

from welltuned import artifact, card
from welltuned.errors import UsageError
from welltuned.opening import MANIFEST, parsed, write_manifest
from welltuned.predicting import run_folder
from welltuned.record import read_run, require_replaceable, whole_folder

APART = "adapter"
"""Of the trained tensors beside the merged model, for peft."""


def export_stock(run: Path, folder: Path | None = None) -> Path:
    """Copy a run's merged model without what only Welltuned or peft reads.

    Args:
        run: folder of a run, a comparison (its winner) or a search (its choice).
        folder: to be made, or an older such checkpoint to be replaced; else ``transformers`` in the run's folder.

    Raises:
        UsageError: no stock class can say this model; the folder holds something else.
        DataError: there is no finished run, or its model is damaged.
        ResourceError: the folder cannot be written.
    """
    source = run_folder(run)
    read_run(source)  # both refuse what is damaged
    artifact.load(source / card.MODEL)
    config = parsed(source / card.MODEL / "config.json")
    if config["model_type"] == "welltuned":
        method = (config.get("method") or {}).get("name")
        why = f"what {method} trains stands before the input" if method else "a linear head over a masked mean or token"
        raise UsageError(
            "no class of stock Transformers can say this model",
            where="--to transformers",
            why=f"{why} is in no stock architecture",
            mend="open its model/ after import welltuned, export it --to onnx, or train with --head native"
            + (" and a method that folds in, such as lora" if method else ""),
        )
    target = folder or source / "transformers"
    of_a_run = target.name == card.MODEL and (target.parent / "record.json").is_file()
    require_replaceable(target, (target / MANIFEST).is_file() and not of_a_run)
    with whole_folder(target) as draft:
        shutil.copytree(source / card.MODEL, draft, dirs_exist_ok=True, ignore=shutil.ignore_patterns(APART, MANIFEST))
        write_manifest(draft)
    return target
