"""One batch on worst-case rows in a process of its own, so that running out of memory ends nothing else.

Started as ``python -m welltuned.capacity.probe`` with a :class:`Request` on stdin; answers with a line of JSON.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from welltuned import methods
from welltuned.batches import Batch
from welltuned.encoders import Encoder
from welltuned.engine import Compute, resolve
from welltuned.memory.measured import is_out_of_memory
from welltuned.optimizer import adamw
from welltuned.spec import RunSpec
from welltuned.subject import assembled
from welltuned.workbench import Workbench


class Request(BaseModel):
    """What to run: a step of training, or a forward pass of evaluation, on B rows of T tokens."""

    model_config = ConfigDict(extra="forbid")

    spec: RunSpec
    classes: int
    rows: int
    tokens: int
    train: bool
    limit: int


class Answer(BaseModel):
    """The peak of the whole process in bytes; ``fits`` is False where the allocator gave up."""

    fits: bool
    peak: int


def answer(request: Request) -> Answer:
    """Do it, and say what it took."""
    compute = resolve(request.spec.compute)
    if compute.device.type == "cuda":
        total = torch.cuda.get_device_properties(compute.device).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, request.limit / total))
    fits = True
    try:
        _work(request, compute)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        fits = False
    return Answer(fits=fits, peak=peak(compute.device))


def _work(request: Request, compute: Compute) -> None:
    method = methods.build(request.spec.method)
    origin = Workbench().model(request.spec.model)
    encoder = assembled(request.spec, method, origin, request.classes, compute)
    if not request.train:
        encoder.eval()
        with torch.no_grad(), compute.arithmetic():
            encoder(_worst(encoder, request.rows, request.tokens, compute))
        return
    kept = method.state(encoder)  # as in training, where the best epoch's weights are kept beside the present ones
    optimizer = adamw(encoder, request.spec.train, compute)
    encoder.train()
    for rows in (1, request.rows):  # the first step makes the optimizer's state
        batch = _worst(encoder, rows, request.tokens, compute)
        with compute.arithmetic():
            logits = encoder(batch)
        assert batch.labels is not None
        nn.functional.cross_entropy(logits.float(), batch.labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    del kept


def _worst(encoder: Encoder, rows: int, tokens: int, compute: Compute) -> Batch:
    """[B, T] rows without any padding; what the tokens are does not matter to memory."""
    ids = torch.randint(encoder.shape.vocab // 2, encoder.shape.vocab, (rows, tokens))
    labels = torch.zeros(rows, dtype=torch.int64)
    lengths = (tokens,) * rows
    return Batch(ids, torch.ones_like(ids), None, labels, torch.arange(rows), lengths=lengths).to(compute.device)


def peak(device: torch.device) -> int:
    """The most that this process has held: reserved on a CUDA device, resident in main memory otherwise."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_reserved(device))
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def main() -> None:
    """Answer the request on stdin."""
    with contextlib.suppress(OSError):  # should the system run short, this process is to go first
        Path("/proc/self/oom_score_adj").write_text("1000")
    request = Request.model_validate_json(sys.stdin.read())
    print(answer(request).model_dump_json(), flush=True)


if __name__ == "__main__":
    main()
