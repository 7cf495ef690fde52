"""Welltuned's side: a search as the command does it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from work import PROMPT, Done, Work, answer

from welltuned.plan import candidate
from welltuned.record import read_arrays
from welltuned.run import train_together, trial
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec
from welltuned.workbench import Workbench


def do(work: Work) -> Done:
    torch.set_num_threads(work.threads)
    data = DataSpec(source=work.data, max_train_samples=work.rows, max_eval_samples=work.dev_rows)
    model = ModelSpec(name=work.model, max_length=work.max_length)
    compute = ComputeSpec(device="cpu", precision=work.precision, engine=work.way)
    expression = f"prefix:length={PROMPT}" if work.method == "prefix" else work.method
    specs = [
        candidate(expression, {"lr": lr, "epochs": epochs, "batch_size": work.batch_size, **work.training}).run(
            data, model, seed, compute
        )
        for seed in work.seeds
        for lr, epochs in work.settings
    ]
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        bench = Workbench(cache_limit=0 if work.way == "plain" else 4 << 30)
        bench.stages.expect(specs)
        train_together(specs, Path(folder), bench)
        records = [trial(spec, Path(folder) / spec.name, bench) for spec in specs]
        seconds = time.perf_counter() - started
        arrays = read_arrays(Path(folder) / records[0].name / "predictions.safetensors")
        tokens = int(bench.tokens(data, model)["train"].lengths.sum())
    correct = arrays["dev.logits"].argmax(axis=1) == arrays["dev.labels"]
    once = records[0].timings["features"]  # computed once, charged to every run
    return Done(
        seconds=seconds,
        train_seconds=once + sum(one.timings["train"] - one.timings["shared"] for one in records),
        tokens=tokens * sum(len(one.curve) for one in records),
        peak_bytes=0,
        dev_accuracy=[one.dev_accuracy for one in records],
        correct=correct.astype(int).tolist(),
    )


if __name__ == "__main__":
    answer(do)
