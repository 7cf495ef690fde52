"""What a task's trainings need, and what the machine's matrix products allow."""

from __future__ import annotations

import torch
from work import Work

from welltuned import methods
from welltuned.engine import Compute, resolve
from welltuned.plan import candidate
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec
from welltuned.subject import assembled
from welltuned.utilisation import ceiling, needed
from welltuned.workbench import Workbench

SECONDS = 1.0
"""That the fastest product is looked for."""


def products(work: Work) -> float:
    """FLOP a second of a feed-forward product in the task's precision, on its device, with its threads."""
    torch.set_num_threads(work.threads)
    return ceiling(resolve(ComputeSpec(device=work.device, precision=work.precision)), SECONDS)


def needed_a_token(work: Work) -> float | None:
    """FLOP of training on the task's rows over their tokens, padding not counted.

    Blocks that stay as they are count with their forward pass in every epoch, whether a side runs them anew or not.
    None where the library has no closed form for the model.
    """
    bench, plain = Workbench(), Compute(torch.device("cpu"), "fp32", "plain")
    data = DataSpec(source=work.data, max_train_samples=work.rows, max_eval_samples=work.dev_rows)
    model = ModelSpec(name=work.model, max_length=work.max_length)
    spec = candidate(work.expression, {}).run(data, model, 0, ComputeSpec(device="cpu"))
    method, classes = methods.build(spec.method), len(bench.dataset(data).labels)
    encoder, rows = assembled(spec, method, bench.model(model), classes, plain), bench.tokens(data, model)["train"]
    flop = needed(encoder, rows, plain)
    return None if flop is None else flop / int(rows.lengths.sum())
