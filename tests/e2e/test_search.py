from __future__ import annotations

import json
from pathlib import Path

from .conftest import Command

SHORT = ("--max-length", "32", "--batch-size", "8", "--precision", "fp32", "--epochs", "2")


def test_a_grid_is_searched_reported_and_answers(welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> None:
    call = ("search", problem, "--method", "lora:rank=2", "--model", bert, "--grid", "lr=1e-6,1e-2", "--out", tmp_path)
    done = welltuned(*call, "--grid", "epochs=1,2", *SHORT)
    assert done.code == 0, done.err
    assert "chosen on dev: lr 0.01" in done.out
    assert "4 of 4 done" in done.err
    record = json.loads((tmp_path / "results.json").read_text())
    assert [trial["values"] for trial in record["trials"]] == [
        {"lr": lr, "epochs": epochs} for lr in (1e-6, 1e-2) for epochs in (1, 2)
    ]
    assert (tmp_path / "figures" / "search.png").is_file()
    assert "chosen" in welltuned("report", tmp_path).out
    answer = welltuned("predict", tmp_path, "--question", "is it so", "--passage", "red sun hot")
    assert answer.code == 0, answer.err
    again = welltuned(*call, "--grid", "epochs=1,2", *SHORT)
    assert "epoch 1/" not in again.err
    assert again.out == done.out


def test_without_a_space_the_methods_own_is_searched(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path
) -> None:
    done = welltuned(
        "search", problem, "--method", "head", "--model", bert, "--trials", "3", "--sampler", "random", "--json",
        "--out", tmp_path, *SHORT,
    )  # fmt: skip
    assert done.code == 0, done.err
    record = json.loads(done.out)
    assert record["sampler"] == "random"
    assert set(record["space"]) == {"lr", "epochs"}
    assert [one["trials"] for one in record["best_after"]] == [1, 2, 3]


def test_wrong_spaces_are_usage_errors(welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> None:
    for options, said in (
        (("--grid", "lr"), "lr=1e-4,5e-4"),
        (("--grid", "learning_rat=1,2"), "learning_rat"),
        (("--range", "lr=1..0"), "no range"),
        (("--sampler", "bayes"), "tpe"),
        (("--grid", "seed=1,2"), "--seed"),
    ):
        done = welltuned("search", problem, "--model", bert, "--out", tmp_path / "o", *options, *SHORT)
        assert done.code == 2, done.err
        assert said in done.err
    assert not (tmp_path / "o").exists()
