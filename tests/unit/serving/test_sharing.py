from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import torch
from torch import nn

from welltuned.serving.sharing import TensorPool


def model(seed: int) -> nn.Sequential:
    """A large layer that all have in common, and a small one of its own."""
    torch.manual_seed(0)
    backbone = nn.Linear(300, 200)
    torch.manual_seed(seed)
    return nn.Sequential(backbone, nn.BatchNorm1d(200), nn.Linear(200, 2)).eval()


def test_equal_tensors_are_held_once_and_answers_stay() -> None:
    pool, row = TensorPool(), torch.randn(3, 300)
    first, second = model(1), model(2)
    expected = [copy.deepcopy(one)(row) for one in (first, second)]
    alone, beside = pool.admit(first), pool.admit(second)
    assert alone.bytes == beside.bytes == sum(t.nbytes for t in set(first.state_dict().values()))
    assert alone.shared == 0
    assert alone.bytes - beside.shared == (2 * 200 + 2) * 4  # its own head
    assert first[0].weight.data_ptr() == second[0].weight.data_ptr()
    assert first[2].weight.data_ptr() != second[2].weight.data_ptr()
    for one, logits in zip((first, second), expected, strict=True):
        torch.testing.assert_close(one(row), logits, rtol=0, atol=0)
        assert not any(parameter.requires_grad for parameter in one.parameters())


def test_tied_tensors_stay_tied_and_other_shapes_apart() -> None:
    tied = nn.ModuleDict({"a": nn.Linear(4, 4, bias=False), "b": nn.Linear(4, 4, bias=False)})
    tied["b"].weight = tied["a"].weight
    assert TensorPool().admit(tied).bytes == 4 * 4 * 4
    assert tied["a"].weight is tied["b"].weight
    flat = nn.ParameterList([nn.Parameter(torch.zeros(2, 8)), nn.Parameter(torch.zeros(8, 2))])
    TensorPool().admit(flat)
    assert [tuple(one.shape) for one in flat] == [(2, 8), (8, 2)]


MEMORY = """
import gc, psutil, sys, torch
from safetensors.torch import load_file, save_file
from torch import nn
from welltuned.serving.sharing import TensorPool
N, folder, shared = 6, sys.argv[1], sys.argv[2] == "shared"
def filled(seed):
    torch.manual_seed(0)
    big = torch.randn(3200, 3200)
    torch.manual_seed(seed)
    return {"0.weight": big, "1.weight": torch.randn(4, 3200)}
for i in range(N):
    save_file(filled(i), f"{folder}/{i}.safetensors")
def loaded(i):
    model = nn.Sequential(nn.Linear(3200, 3200, bias=False), nn.Linear(3200, 4, bias=False))
    model.load_state_dict(load_file(f"{folder}/{i}.safetensors"), assign=True)
    model(torch.randn(1, 3200))
    return model
me, pool = psutil.Process(), TensorPool()
loaded(0); gc.collect()
before, models = me.memory_info().rss, []
for i in range(N):
    models.append(loaded(i))
    if shared:
        pool.admit(models[-1])
    gc.collect()
print((me.memory_info().rss - before) / (3200 * 3200 * 4))
"""


def held(folder: Path, how: str) -> float:
    """How many times the large tensor's bytes a process holds of six models that have it in common.

    It is above 32 MiB, so that glibc always gives it back to the system once it is freed.
    """
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, folder, how],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_the_process_holds_them_once(tmp_path: Path) -> None:
    assert held(tmp_path, "shared") < 1.6
    assert held(tmp_path, "apart") > 5
