"""Where a pretraining stands, on disk, so that it goes on as if it had never stopped.

Files of a checkpoint folder, one subfolder for the latest step::

    STEP/state.safetensors   weights.NAME, and for each trained tensor optimizer.{step,exp_avg,exp_avg_sq}.NAME
    STEP/state.json          steps done, the curve so far, the random streams, and of which run this is

Which rows come next, which of their tokens are hidden and the learning rate are functions of the seed and the number
of steps done, so the number of steps is their whole state.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from welltuned.engine import Compute, random_state, restore_random
from welltuned.errors import DataError
from welltuned.record import whole_folder
from welltuned.record.pretraining import StepRow

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Position:
    """Steps done, and the curve so far."""

    step: int
    curve: list[StepRow]


def save(
    folder: Path,
    identity: str,
    position: Position,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    compute: Compute,
) -> None:
    """Leave a checkpoint; those before it go when it is whole."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        tensors[f"weights.{name}"] = parameter.detach().contiguous()
        for moment in MOMENTS:
            if moment in optimizer.state.get(parameter, {}):
                tensors[f"optimizer.{moment}.{name}"] = optimizer.state[parameter][moment].contiguous()
    streams, numbers = random_state(compute)
    tensors |= {f"random.{name}": value for name, value in streams.items()}
    state = {
        "run": identity,
        "step": position.step,
        "curve": [row.model_dump(mode="json") for row in position.curve],
        "random": numbers,
    }
    with whole_folder(folder / str(position.step)) as draft:
        save_file(tensors, draft / "state.safetensors")
        (draft / "state.json").write_text(json.dumps(state), encoding="utf-8")
    for other in folder.iterdir():
        if other.name != str(position.step):
            shutil.rmtree(other, ignore_errors=True)


def restore(
    folder: Path, identity: str, model: nn.Module, optimizer: torch.optim.Optimizer, compute: Compute
) -> Position | None:
    """Put everything back as a checkpoint of this very run left it; None where there is none.

    Raises:
        DataError: the checkpoint is damaged.
    """
    found = sorted((int(one.name) for one in folder.glob("*") if one.name.isdecimal()), reverse=True)
    if not found:
        return None
    latest = folder / str(found[0])
    try:
        state: dict[str, Any] = json.loads((latest / "state.json").read_bytes())
        if state["run"] != identity:
            return None
        tensors = load_file(latest / "state.safetensors", device=str(compute.device))
        _put(tensors, model, optimizer)
    except (OSError, ValueError, SafetensorError, KeyError, RuntimeError) as error:
        raise DataError(
            "the checkpoint is damaged",
            where=str(latest),
            why=str(error),
            mend="remove this folder to begin anew",
        ) from error
    streams = {name: tensors[f"random.{name}"] for name in ("torch", "cuda") if f"random.{name}" in tensors}
    restore_random(streams, state["random"], compute)
    return Position(int(state["step"]), [StepRow(**row) for row in state["curve"]])


@torch.no_grad()
def _put(tensors: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    for name, parameter in model.named_parameters():
        parameter.copy_(tensors[f"weights.{name}"])
        moments = {
            moment: tensors[f"optimizer.{moment}.{name}"]
            for moment in MOMENTS
            if f"optimizer.{moment}.{name}" in tensors
        }
        if moments:
            if not optimizer.defaults["fused"]:
                moments["step"] = moments["step"].cpu()
            optimizer.state[parameter] = moments
