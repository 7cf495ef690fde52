"""Welltuned's side: a search as the command does it, of one trial where one is asked for."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from work import Done, Work, answer

from welltuned.methods._base import Choice
from welltuned.plan import candidate
from welltuned.record import read_arrays, read_run
from welltuned.search import Search, Trials
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec
from welltuned.workbench import Workbench


def do(work: Work) -> Done:
    torch.set_num_threads(work.threads)
    rates, lengths = (tuple(dict.fromkeys(column)) for column in zip(*work.settings, strict=True))
    plan = Search(
        DataSpec(source=work.data, max_train_samples=work.rows, max_eval_samples=work.dev_rows),
        ModelSpec(name=work.model, max_length=work.max_length),
        candidate(work.expression, {"batch_size": work.batch_size, **work.training}),
        {"lr": Choice(rates), "epochs": Choice(lengths)},
        seeds=work.seeds,
        compute=ComputeSpec(device=work.device, precision=work.precision, engine=work.way),
        pruner=work.pruner or None,
    )
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        bench = Workbench(cache_limit=0 if work.way == "plain" else 4 << 30)
        trials = Trials(plan, Path(name), bench)
        trials.work(plan.proposals()[1])
        seconds = time.perf_counter() - started
        records = [read_run(Path(name) / run) for one in trials.whole for run in one.runs]
        arrays = read_arrays(Path(name) / records[0].name / "predictions.safetensors")
        tokens = int(bench.tokens(plan.data, plan.model)["train"].lengths.sum())
    places = [work.settings.index((one["lr"], one["epochs"])) for one in trials.asked]  # under a rule in mixed order
    dev = dict(zip(places, (one.dev or 0.0 for one in trials.done), strict=True))
    given_up = [one for one in trials.done if not one.is_whole]
    once = records[0].timings["features"]  # computed once, charged to every run
    trained = sum(_own(one.timings) for one in records)
    epochs = sum(len(one.curve) for one in records) + sum(one.given_up or 0 for one in given_up)
    correct = arrays["dev.logits"].argmax(axis=1) == arrays["dev.labels"]
    return Done(
        seconds=seconds,
        train_seconds=once + trained + sum(one.seconds for one in given_up),
        tokens=tokens * epochs,
        peak_bytes=0,
        dev_accuracy=[dev[at] for at in range(len(work.settings))],
        correct=correct.astype(int).tolist(),
        chosen=places[trials.best.number],
        given_up=len(given_up),
    )


def _own(timings: dict[str, float]) -> float:
    """Seconds of training without those that another run had done for it; of both the same share went to dev."""
    train, dev = timings["train"], timings["dev"]
    return train * (1 - timings["shared"] / (train + dev))


if __name__ == "__main__":
    answer(do)
