from __future__ import annotations

import json
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from welltuned.cli import application, commands
from welltuned.record import read_run

from .conftest import Command

SHORT = ("--max-length", "32", "--batch-size", "8", "--precision", "fp32")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from welltuned.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as left: assert not left.code\n"
        "heavy = {'torch', 'transformers', 'numpy', 'pydantic', 'matplotlib', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_every_command_has_help(welltuned: Command) -> None:
    listed = welltuned("--help").out
    names = [entry.name.replace("_", "-") for entry in pkgutil.iter_modules(commands.__path__)]
    assert len(names) > 10
    for name in names:
        assert name in listed
        assert welltuned(name, "--help").code == 0


def parsers() -> Iterator[Any]:
    """Every command, those of groups too."""
    waiting: list[Any] = [typer.main.get_command(application())]
    while waiting:
        one = waiting.pop()
        yield one
        waiting += getattr(one, "commands", {}).values()


def test_every_option_says_what_it_is_for_within_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found = list(parsers())
    assert len(found) > 20
    for command in found:
        told = command.get_help(typer.Context(command, info_name=command.name))
        assert max(map(len, told.splitlines())) <= 80
        assert "..." not in told.partition("Commands:")[2], "a command is told in whole sentences"
        for parameter in command.params:
            help = getattr(parameter, "help", None)
            assert help, (command.name, parameter.name)
            assert len(help.split()) > 2, (command.name, parameter.name, help)


def test_version(welltuned: Command) -> None:
    assert welltuned("--version").out.startswith("welltuned ")


def test_overfitting_ten_rows_says_that_training_works(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path
) -> None:
    done = welltuned(
        "train",
        problem,
        "--model",
        bert,
        "--overfit",
        "10",
        "--epochs",
        "40",
        "--lr",
        "1e-2",
        "--out",
        tmp_path,
        *SHORT,
    )
    assert done.code == 0
    assert "learned: all 10 rows" in done.out
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["learned"] is True
    assert results["test"] is None
    assert not (tmp_path / "vault.jsonl").exists()


def test_overfitting_that_fails_names_the_cause(welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> None:
    done = welltuned(
        "train", problem, "--model", bert, "--overfit", "10", "--epochs", "2", "--lr", "1e-9", "--out", tmp_path, *SHORT
    )
    assert done.code == 0
    assert "not learned" in done.out
    assert "learning rate" in done.out.replace("\n", " ")


def test_training_opens_the_test_once_and_reports(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path
) -> None:
    done = welltuned(
        "train", problem, "--method", "lora:rank=2", "--model", bert, "--epochs", "1", "--out", tmp_path, *SHORT
    )
    assert done.code == 0
    assert len((tmp_path / "vault.jsonl").read_text().splitlines()) == 1
    assert "of what the machine's matrix products allow" in done.out
    assert read_run(tmp_path).spec.method.config["rank"] == 2
    assert (tmp_path / "report.html").exists()


def test_underscored_options_are_read_too(welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> None:
    done = welltuned(
        "train", problem, "--model", bert, "--method", "head", "--num_train_epochs=1", "--learning_rate", "1e-3",
        "--per_device_train_batch_size", "8", "--max_seq_length", "32", "--output_dir", tmp_path,
    )  # fmt: skip
    assert done.code == 0
    assert read_run(tmp_path).spec.train.lr == 1e-3


def test_parameter_counts_of_the_course_sheet(welltuned: Command) -> None:
    done = welltuned("params", "--shape", "bert-base", "--methods", "head,prefix,lora:targets=query", "--json")
    counts = {row["method"]: row for row in json.loads(done.out)}
    assert counts["head"]["trained"] == 1_538
    assert counts["prefix"]["trained"] == 99_842
    assert counts["lora:targets=query"]["parts"]["adapter"] == 12 * 12_288


def test_check_tells_rows_labels_and_findings(welltuned: Command, problem: Path, bert: Path) -> None:
    done = welltuned("check", problem, "--model", bert)
    assert done.code == 0
    assert "labels: no, yes" in done.out
    assert "cut at 256 tokens" in done.out
    assert json.loads(welltuned("check", problem, "--json").out)["rows"]["train"] > 0


METHOD = '''"""Train the norms of all blocks, and the head."""
from typing import ClassVar, final
from torch import nn
from welltuned.methods._base import Defaults, Method, MethodConfig, Range, freeze_backbone

@final
class Norms(Method[MethodConfig]):
    """Train norms and the head."""
    defaults = Defaults(lr=1e-2, epochs=1)
    search_space: ClassVar = {"lr": Range(1e-4, 1e-2, log=True)}

    def attach(self, encoder):
        freeze_backbone(encoder)
        for block in encoder.blocks:
            for module in block.modules():
                if "norm" in type(module).__name__.lower():
                    module.requires_grad_(True)

    def frontier(self, shape):
        return 0

    def ledger(self, shape):
        blocks = shape.layers * shape.block_vectors - shape.first_block_missing
        return {"norms": blocks, "head": shape.head_parameters}

    def merge(self, encoder):
        return True
'''


def test_a_method_is_one_file(tmp_path: Path, problem: Path, bert: Path) -> None:
    """A new file is found by the command line, by a comparison's report, and by the conformance suite."""
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "norms.py").write_text(METHOD)
    known = {**os.environ, "WELLTUNED_METHODS": str(tmp_path / "methods"), "OMP_NUM_THREADS": "1"}

    def welltuned(*arguments: object) -> str:
        command = [sys.executable, "-m", "welltuned", *map(str, arguments)]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=known).stdout

    assert "norms" in welltuned("methods")
    welltuned(
        "compare", problem, "--methods", "head,norms", "--model", bert, "--epochs", "1", "--out", tmp_path / "o", *SHORT
    )
    assert "norms" in (tmp_path / "o" / "report.html").read_text(encoding="utf-8")
    suite = [
        sys.executable,
        "-m",
        "pytest",
        "tests/conformance",
        "-q",
        "-k",
        "norms and bert",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(suite, check=False, capture_output=True, text=True, env=known)
    assert done.returncode == 0, done.stdout[-3000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("signal", ["SIGINT", "SIGTERM"])
def test_interrupted_run_says_how_to_go_on(signal: str, problem: Path, bert: Path, tmp_path: Path) -> None:
    import signal as signals
    import time

    command = [
        sys.executable, "-m", "welltuned", "compare", str(problem), "--methods", "head,full", "--model", str(bert),
        "--epochs", "100000", "--out", str(tmp_path / "o"), *SHORT,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "epoch 1/" in line:
                break
        time.sleep(0.2)
        process.send_signal(getattr(signals, signal))
        rest = process.stderr.read()
    assert process.returncode == {"SIGINT": 130, "SIGTERM": 143}[signal]
    assert "Go on with" in rest
    assert "Traceback" not in rest


def test_memory_is_predicted_and_measured(welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> None:
    options = ("--model", bert, "--methods", "full,head", "--out", tmp_path, *SHORT)
    done = welltuned("memory", problem, *options)
    assert done.code == 0, done.err
    assert "predicted" in done.out
    assert "*B*T*T" in done.out
    assert (tmp_path / "figures" / "memory.png").is_file()
    record = json.loads((tmp_path / "results.json").read_text())
    for row in record["rows"]:
        assert row["predicted"]["peak"] == pytest.approx(row["measured"]["peak"], rel=0.1)
    only = json.loads(welltuned("memory", problem, "--no-measure", "--json", *options).out)
    assert [row["measured"] for row in only["rows"]] == [None, None]
    assert [row["predicted"] for row in only["rows"]] == [row["predicted"] for row in record["rows"]]
