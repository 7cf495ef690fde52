"""Where a training step spends its time, and what some further means would bring on this machine.

    python benchmarks/speed/tried.py DATA

Writes benchmarks/results/speed_tried.json; page.py puts it into docs/speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import torch
from process import here
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from welltuned import methods
from welltuned.answering import predict
from welltuned.batches import TokenizedSplit
from welltuned.encoders import Encoder
from welltuned.engine import Compute, resolve, settle
from welltuned.gathering import train_together
from welltuned.plan import candidate
from welltuned.progress import Observer
from welltuned.run import trial
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, RunSpec
from welltuned.subject import assembled
from welltuned.together import Abreast, share_frozen
from welltuned.train import Training
from welltuned.workbench import Workbench

OUT = Path(__file__).resolve().parents[1] / "results" / "speed_tried.json"
TOKENS, WIDTH, WIDE = 2048, 384, 1536
PARTS = {
    "matrix products": ("aten.mm.default", "aten.addmm.default"),
    "attention": ("welltuned.attend.default", "welltuned.attend_backward.default"),
    "activation (GELU)": ("aten.gelu.default", "aten.gelu_backward.default"),
    "layer norm": ("aten.native_layer_norm.default", "aten.native_layer_norm_backward.default"),
    "dropout's masks": ("welltuned.byte_mask.default",),
    "sums of residuals, biases and gradients": (
        "aten.add.Tensor", "aten.add_.Tensor", "aten.sum.dim_IntList", "aten.sum.default",
    ),
    "casts and copies": ("aten._to_copy.default", "aten.copy_.default", "aten.clone.default"),
    "embedding's gradient": ("aten.embedding_dense_backward.default",),
    "gradient norm": ("aten._foreach_norm.Scalar", "aten.linalg_vector_norm.default", "aten._foreach_mul_.Tensor"),
    "optimizer": ("aten._fused_adamw_.default",),
}  # fmt: skip


class Taken(TorchDispatchMode):
    """Seconds of each operation below autograd, what it calls included; torch's profiler slows some of them tenfold."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        started = time.perf_counter()
        try:
            return func(*args, **(kwargs or {}))
        finally:
            self.seconds[str(func)] += time.perf_counter() - started


def shortest(work: Callable[[], Any], repeats: int = 7, calls: int = 5) -> float:
    """Seconds of one call, the least of a few rounds."""
    work()
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        for _ in range(calls):
            work()
        best = min(best, (time.perf_counter() - started) / calls)
    return best


def products() -> dict[str, float]:
    """FLOP a second of a feed-forward product in each arithmetic, casts of bf16 not counted."""
    x, weight = torch.randn(TOKENS, WIDTH), torch.randn(WIDE, WIDTH)
    flop, found = 2 * TOKENS * WIDTH * WIDE, {}
    for name in ("highest", "medium"):
        torch.set_float32_matmul_precision(name)
        found[f"fp32, {name}"] = flop / shortest(lambda: nn.functional.linear(x, weight))
    torch.set_float32_matmul_precision("highest")
    low, low_weight = x.bfloat16(), weight.bfloat16()
    found["bf16"] = flop / shortest(lambda: nn.functional.linear(low, low_weight))
    return found


def products_of_a_step() -> dict[str, float]:
    """FLOP a second in bf16 of the three products that a feed-forward matrix takes part in."""
    x, weight, after = (torch.randn(*size).bfloat16() for size in ((TOKENS, WIDTH), (WIDE, WIDTH), (TOKENS, WIDE)))
    flop = 2 * TOKENS * WIDTH * WIDE
    works = {
        "forward": lambda: nn.functional.linear(x, weight),
        "gradient of its input": lambda: after @ weight,
        "gradient of its weight": lambda: after.t() @ x,
    }
    return {name: flop / shortest(work) for name, work in works.items()}


def queries_keys_values() -> dict[str, float]:
    """Seconds forward and backward of the three projections apart, and as one product."""
    x = torch.randn(TOKENS, WIDTH, requires_grad=True)
    apart = [nn.Linear(WIDTH, WIDTH) for _ in range(3)]
    merged = nn.Linear(WIDTH, 3 * WIDTH)
    return {
        "apart": shortest(lambda: torch.cat([one(x) for one in apart], dim=1).sum().backward()),
        "merged": shortest(lambda: merged(x).sum().backward()),
    }


class Bench:
    """One method on the data, ready to train."""

    def __init__(self, data: str, method: str, rows: int, epochs: int = 1, batch: int = 32, length: int = 256) -> None:
        given = DataSpec(source=data, max_train_samples=rows, max_eval_samples=32)
        plan = candidate(method, {"lr": 1e-4, "epochs": epochs, "batch_size": batch})
        compute = settle(ComputeSpec(device="cpu", engine="fast"))
        self.compute: Compute = resolve(compute)
        self.spec: RunSpec = plan.run(given, ModelSpec(name="minilm", max_length=length), 0, compute)
        self.bench = Workbench(cache_limit=0)
        self.rows: dict[str, TokenizedSplit] = self.bench.tokens(self.spec.data, self.spec.model)

    def encoder(self) -> Encoder:
        classes = len(self.bench.dataset(self.spec.data).labels)
        origin, method = self.bench.model(self.spec.model), methods.build(self.spec.method)
        return assembled(self.spec, method, origin, classes, self.compute)

    def training(self, encoder: Encoder) -> Training:
        method = methods.build(self.spec.method)
        train, dev = self.rows["train"], self.rows["dev"]
        return Training(encoder, method, train, dev, self.spec.train, self.compute, Observer())


def parts(bench: Bench) -> dict[str, float]:
    """Shares of the time of an epoch's steps; what is between operations is in the rest."""
    encoder = bench.encoder()
    bench.training(encoder).run(until=3)  # memory is touched for the first time
    training = bench.training(encoder)
    with Taken() as seen:
        training.run(until=training.steps - 1)
    everything = training.seconds["train"]
    taken = {part: sum(seen.seconds[name] for name in names) / everything for part, names in PARTS.items()}
    taken["all else"] = 1 - sum(taken.values())
    return dict(sorted(taken.items(), key=lambda one: -one[1]))


def by_rows(bench: Bench, rounds: int = 3) -> dict[str, float]:
    """Tokens a second of an epoch's steps by rows of a step: what several trials in one step could gain at most."""
    given, tokens = bench.spec.train, int(bench.rows["train"].lengths.sum())
    encoder, found = bench.encoder(), {}
    for _ in range(rounds + 1):  # the first touches memory
        for rows in (8, 16, 32, 64):
            bench.spec = bench.spec.model_copy(update={"train": given.model_copy(update={"batch_size": rows})})
            training = bench.training(encoder)
            training.run()
            found.setdefault(f"{rows} rows", []).append(tokens / training.seconds["train"])
    bench.spec = bench.spec.model_copy(update={"train": given})
    return {rows: statistics.median(all_of[1:]) for rows, all_of in found.items()}


def compiled(bench: Bench) -> dict[str, float]:
    """Seconds of an epoch's steps with blocks as they are and compiled, and what compiling took."""
    found = {}
    for name in ("as it is", "compiled"):
        encoder = bench.encoder()
        if name == "compiled":
            for block in encoder.blocks:
                block.compile(dynamic=True)
        started = time.perf_counter()
        first = bench.training(encoder)
        first.run(until=first.steps - 1)
        warm = time.perf_counter() - started
        again = bench.training(encoder)
        again.run(until=again.steps - 1)
        found[name] = again.seconds["train"]
        found[f"{name}, first time"] = warm
    return found


def head(bench: Bench, folder: Path) -> dict[str, float]:
    """Seconds of a step, of all steps and of a whole trial of head-tuning, once the features are kept."""
    runs = [bench.spec.model_copy(update={"train": bench.spec.train.model_copy(update={"seed": s})}) for s in range(4)]
    trial(runs[0], folder / "first", bench.bench)
    found = []
    for run in runs[1:]:
        started = time.perf_counter()
        record = trial(run, folder / run.name, bench.bench)
        found.append((time.perf_counter() - started, record.timings["train"]))
    whole, steps = (statistics.median(column) for column in zip(*found, strict=True))
    count = len(bench.rows["train"]) / run.train.batch_size * run.train.epochs
    return {"trial": whole, "steps": steps, "step": steps / count}


def heads(bench: Bench, folder: Path, trials: int = 24) -> dict[str, float]:
    """Seconds of so many trials of head-tuning, once the features are kept, one after the other and together."""
    given = bench.spec
    rates = [1e-3 * 10 ** (at / 8) for at in range(trials)]
    runs = [given.model_copy(update={"train": given.train.model_copy(update={"lr": lr})}) for lr in rates]
    trial(given, folder / "first", bench.bench)
    found = {"trials": trials, "epochs": given.train.epochs}
    for way in ("apart", "together"):
        started = time.perf_counter()
        if way == "together":
            train_together(runs, folder / way, bench.bench)
        for run in runs:
            trial(run, folder / way / run.name, bench.bench)
        found[way] = time.perf_counter() - started
    return found


def abreast(data: str, runs: int = 8, steps: int = 12, rounds: int = 3) -> dict[str, dict[str, float]]:
    """Seconds of a step of so many runs of LoRA on short rows, apart and together, by tokens of a batch."""
    found = {}
    for batch in (4, 8, 16, 32):
        bench = Bench(data, "lora", 64 * batch, batch=batch, length=16)
        encoders = [bench.encoder() for _ in range(2 * runs)]
        alone, members = ([bench.training(one) for one in half] for half in (encoders[:runs], encoders[runs:]))
        for one in members:
            share_frozen(one.encoder, members[0].encoder)
        together, seconds = Abreast(members, Observer()), dict[str, list[float]](apart=[], together=[])
        for until in range(steps, steps * (rounds + 2), steps):
            for way, works in (("apart", [one.run for one in alone]), ("together", [together.run])):
                started = time.perf_counter()
                for work in works:
                    work(until=until)
                seconds[way].append((time.perf_counter() - started) / steps)
        tokens = batch * bench.rows["train"].lengths.mean()
        found[f"{tokens:.0f} tokens"] = {way: statistics.median(all_of[1:]) for way, all_of in seconds.items()}
    return found


def evaluated(bench: Bench) -> dict[str, float]:
    """Tokens a second of answering, by rows at once."""
    encoder, rows, found = bench.encoder(), bench.rows["train"], {}
    plain = Compute(torch.device("cpu"), bench.compute.precision, "plain")  # no limit of its own
    for at_once in (4, 8, 16, 32, 64):
        seconds = shortest(partial(predict, encoder, rows, at_once, plain), repeats=3, calls=1)
        found[f"{at_once} rows"] = int(rows.lengths.sum()) / seconds
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--rows", type=int, default=256)
    arguments = parser.parse_args()
    torch.set_num_threads(psutil.cpu_count() or 1)
    full, lora = (Bench(arguments.data, method, arguments.rows) for method in ("full", "lora"))
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = f"{folder}/compiled"  # nothing is compiled beforehand
        one = head(Bench(arguments.data, "head", arguments.rows, epochs=8), Path(folder) / "one")
        many = heads(Bench(arguments.data, "head", arguments.rows, epochs=64), Path(folder) / "many")
        blocks = compiled(full)
    found: dict[str, Any] = {
        "products": products(),
        "products of a step": products_of_a_step(),
        "queries, keys and values": queries_keys_values(),
        "evaluation": evaluated(full),
        "parts": {"full": parts(full), "lora": parts(lora)},
        "steps by rows": by_rows(lora),
        "compile": blocks,
        "head": one,
        "heads": many,
        "runs abreast": abreast(arguments.data),
        "precision": full.compute.precision,
        "rows": arguments.rows,
        **here(),
    }
    OUT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
