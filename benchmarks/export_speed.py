"""How fast a finished run answers: a transformers pipeline, welltuned's Predictor, ONNX in fp32 and in int8.

    python benchmarks/export_speed.py RUN            # measures, writes results/export.json and the page
    python benchmarks/export_speed.py --page         # writes the page anew from results/export.json

RUN is a run of pairs, such as runs/demo after ``make demo``. All run on two threads in one process, take turns in every
round, and are given the same rows in the same order. A row is a question with a passage made of the dev rows' own
words, of a quarter of the limit up to the limit in tokens, as a user's rows differ in length; the seed decides how
long.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "2"

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import transformers

from welltuned import artifact
from welltuned.data import load_dataset
from welltuned.exporting import export_onnx
from welltuned.predicting import Predictor, run_folder
from welltuned.record import installed_versions, processor_name, read_run

THREADS, SEED = 2, 0
LIMITS, MANY = (32, 128), 64
ROUNDS, SINGLES = 7, 16
PEER = "transformers pipeline"
RESULT = Path(__file__).parent / "results" / "export.json"
PAGE = Path(__file__).parent.parent / "docs" / "exporting.md"
MARK = "<!-- speed -->", "<!-- /speed -->"

Rows = list[tuple[str, str]]
Answer = Callable[[Rows], list[str]]


def mixed_rows(run: Path, tokenizer: Any, limit: int, n: int) -> tuple[Rows, list[int]]:
    """N pairs and their lengths in tokens, between a quarter of the limit and the limit."""
    dev = load_dataset(read_run(run).spec.data).dev
    assert dev.pair is not None
    random = np.random.default_rng([SEED, limit])
    words = " ".join(dev.pair).split()
    rows, lengths = [], []
    for target in random.permutation(np.linspace(limit / 4, limit, n)).astype(int):
        start = int(random.integers(len(words) - limit))
        question = " ".join(dev.text[int(random.integers(len(dev.text)))].split()[:4])
        fitting = [
            (pair, length)
            for count in range(1, limit)
            if (length := len(tokenizer(*(pair := (question, " ".join(words[start : start + count]))))["input_ids"]))
            <= target
        ]
        pair, length = fitting[-1] if fitting else ((question, words[start]), limit)
        rows.append(pair)
        lengths.append(length)
    return rows, lengths


def contestants(run: Path, exports: dict[str, Path], limit: int) -> dict[str, Answer]:
    """Each as a function from rows to labels."""

    def pipeline(**options: Any) -> Answer:
        classify = transformers.pipeline("text-classification", model=str(run / "model"), device="cpu")
        cut = {"truncation": "only_second", "max_length": limit}

        def answers(rows: Rows) -> list[str]:
            given = [{"text": text, "text_pair": pair} for text, pair in rows]
            return [one["label"] for one in classify(given, **cut, **options)]

        return answers

    def ours(folder: Path) -> Answer:
        predictor = Predictor(folder)
        predictor.reader.max_length = limit
        return lambda rows: [one.label for one in predictor.answers([a for a, _ in rows], [b for _, b in rows])]

    return {
        PEER: pipeline(),
        f"{PEER}, batch_size=32": pipeline(batch_size=32),
        "welltuned, torch": ours(run),
        **{f"welltuned, ONNX {name}": ours(folder) for name, folder in exports.items()},
    }


def timed(answer: Answer, rows: Rows, singly: bool) -> float:
    """Seconds of all rows: at once, or one call a row."""
    started = time.perf_counter()
    for part in [[row] for row in rows] if singly else [rows]:
        answer(part)
    return time.perf_counter() - started


def measured(run: Path, exports: dict[str, Path], limit: int) -> list[dict[str, Any]]:
    """Medians of every contestant at one limit, many rows at once and one at a time."""
    rows, lengths = mixed_rows(run, artifact.load_tokenizer(run / "model"), limit, MANY)
    found = []
    answers = contestants(run, exports, limit)
    said = {name: answer(rows) for name, answer in answers.items()}  # warms up too
    for singly, given in ((False, rows), (True, rows[:SINGLES])):
        seconds: dict[str, list[float]] = {name: [] for name in answers}
        for turn in range(ROUNDS):
            order = list(answers)[turn % len(answers) :] + list(answers)[: turn % len(answers)]
            for name in order:
                seconds[name].append(timed(answers[name], given, singly))
        medians = {name: statistics.median(times) for name, times in seconds.items()}
        found += [
            {
                "limit": limit,
                "rows_a_call": 1 if singly else len(given),
                "rows": len(given),
                "tokens": sum(lengths[: len(given)]),
                "name": name,
                "seconds": times,
                "median": medians[name],
                "rows_a_second": len(given) / medians[name],
                "times_the_pipeline": medians[PEER] / medians[name],
                "same_answers": float(np.mean([a == b for a, b in zip(said[name], said[PEER], strict=True)])),
            }
            for name, times in seconds.items()
        ]
    return found


def measure(folder: Path) -> dict[str, Any]:
    """Everything, with what it was measured on."""
    torch.set_num_threads(THREADS)
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    run = run_folder(folder)
    with tempfile.TemporaryDirectory() as place:
        made = {name: export_onnx(run, Path(place) / name, int8=name == "int8") for name in ("fp32", "int8")}
        results = [
            row for limit in LIMITS for row in measured(run, {name: one for name, (one, _) in made.items()}, limit)
        ]
    record = read_run(run)
    return {
        "run": record.name,
        "model": record.spec.model.name,
        "seed": SEED,
        "rounds": ROUNDS,
        "threads": THREADS,
        "processor": processor_name(),
        "cores": psutil.cpu_count(),
        "load": os.getloadavg()[0],
        "versions": {**installed_versions(), **{name: metadata.version(name) for name in ("onnx", "onnxruntime")}},
        "exports": {
            name: {"bytes": one.bytes, "check": one.check.model_dump()} for name, (_, one) in made.items()
        },
        "results": results,
    }  # fmt: skip


def page(found: dict[str, Any]) -> str:
    """What stands between the markers of the page: tables and what they were measured on, all from the JSON."""
    names = list(dict.fromkeys(row["name"] for row in found["results"]))
    parts = []
    for one, title in ((False, "many rows in one call"), (True, "one row a call")):
        rows = [row for row in found["results"] if (row["rows_a_call"] == 1) == one]
        limits = list(dict.fromkeys(row["limit"] for row in rows))
        head = " | ".join(f"rows a second, up to {limit} tokens | times the pipeline" for limit in limits)
        lines = [f"| {title} | {head} |", "|---|" + "---:|---:|" * len(limits)]
        for name in names:
            cells = [row for limit in limits for row in rows if row["name"] == name and row["limit"] == limit]
            told = " | ".join(f"{row['rows_a_second']:,.1f} | {row['times_the_pipeline']:.2f}" for row in cells)
            lines.append(f"| {name} | {told} |")
        parts.append("\n".join(lines))
    many = max(row["rows_a_call"] for row in found["results"])
    singles = next(row["rows"] for row in found["results"] if row["rows_a_call"] == 1)
    agree = "; ".join(
        f"{name} {min(row['same_answers'] for row in found['results'] if row['name'] == name):.1%}"
        for name in names if name != PEER
    )  # fmt: skip
    said = "\n".join(
        f"- {name}: {one['check']['sentence'].removeprefix('int8: ')}" for name, one in found["exports"].items()
    )
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    parts += [
        f"Medians of {found['rounds']} rounds, in which all took turns: {many} rows in one call, and {singles} calls "
        f"of one row. Rows are pairs of a quarter of the limit up to the limit in tokens. Share of rows with the "
        f"pipeline's answer, at the worse limit: {agree}.",
        f"On the dev rows of `{found['run']}` ({found['model']}):\n\n{said}",
        f"{found['processor']}, {found['threads']} threads of {found['cores']} cores, load {found['load']:.1f} at the "
        f"end, seed {found['seed']}; {versions}.",
    ]
    return "\n\n".join(parts)


def write_page(found: dict[str, Any]) -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARK[0])
    after = rest.partition(MARK[1])[2]
    PAGE.write_text(f"{before}{MARK[0]}\n{page(found)}\n{MARK[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=Path, help="folder of a finished run or comparison")
    parser.add_argument("--page", action="store_true", help="only write the page anew")
    parser.add_argument("--out", type=Path, default=RESULT, help="where the JSON goes; the page is for the default")
    given = parser.parse_args()
    if given.page:
        write_page(json.loads(RESULT.read_text(encoding="utf-8")))
        return
    if given.run is None:
        parser.error("name a finished run, or --page")
    found = measure(given.run)
    given.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(page(found))
    if given.out == RESULT:
        write_page(found)


if __name__ == "__main__":
    main()
