"""Whether training in bf16 costs accuracy: the same runs in both precisions, over seeds, compared in pairs.

    python benchmarks/bf16.py CLINC150 [--rows 1500] [--dev-rows 1500] [--seeds 5] [--epochs 4]

Full fine-tuning of MiniLM on sentences of one of 150 intents; each seed trains in fp32 and in bf16 with fp32 weights,
and both answer the same dev rows. Writes benchmarks/results/bf16.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from pathlib import Path

import numpy as np
import psutil

from welltuned.plan import candidate
from welltuned.record import installed_versions, processor_name, read_arrays
from welltuned.run import trial
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec
from welltuned.stats import compare_pair
from welltuned.workbench import Workbench

OUT = Path(__file__).parent / "results" / "bf16.json"
PRECISIONS = ("fp32", "bf16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--dev-rows", type=int, default=1500)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    data = DataSpec(source=arguments.data, max_train_samples=arguments.rows, max_eval_samples=arguments.dev_rows)
    model = ModelSpec(name="minilm", max_length=64)
    plan = candidate("full", {"lr": 3e-4, "epochs": arguments.epochs, "batch_size": 32})
    bench, right, seconds = Workbench(), {}, {}
    for precision in PRECISIONS:
        compute = ComputeSpec(device="cpu", precision=precision, engine="fast")
        answers, taken = [], 0.0
        for seed in range(arguments.seeds):
            spec = plan.run(data, model, seed, compute)
            with tempfile.TemporaryDirectory() as folder:
                record = trial(spec, Path(folder) / spec.name, bench)
                found = read_arrays(Path(folder) / spec.name / "predictions.safetensors")
            answers.append(found["dev.logits"].argmax(axis=1) == found["dev.labels"])
            taken += record.timings["train"]
            print(f"{precision}, seed {seed}: {answers[-1].mean():.2%} of {len(answers[-1]):,} dev rows", flush=True)
        right[precision], seconds[precision] = np.array(answers), taken
    pair = compare_pair(right["bf16"], right["fp32"])
    written = {
        "what": "full fine-tuning in bf16 less fp32, paired by seed and row",
        "data": f"{Path(arguments.data).name}, {arguments.rows:,} training and {arguments.dev_rows:,} dev rows",
        "plan": plan.train.model_dump(mode="json"),
        "seeds": arguments.seeds,
        "accuracy": {name: right[name].mean(axis=1).tolist() for name in PRECISIONS},
        "difference": {"value": pair.difference, "low": pair.interval.lower, "high": pair.interval.upper},
        "training_seconds": seconds,
        "machine": {
            "processor": processor_name(), "cores": psutil.cpu_count(), "memory_bytes": psutil.virtual_memory().total,
        },
        "python": platform.python_version(),
        "versions": installed_versions(),
    }  # fmt: skip
    OUT.write_text(json.dumps(written, indent=1) + "\n")


if __name__ == "__main__":
    main()
