from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Command


def test_the_largest_batch_is_found_for_training_and_evaluation(
    welltuned: Command, problem: Path, bert: Path, tmp_path: Path
) -> None:
    options = ("--model", bert, "--method", "head", "--max-length", "32", "--precision", "fp32", "--out", tmp_path)
    done = welltuned("max-batch", problem, *options, "--memory-limit", "8GiB")
    assert done.code == 0, done.err
    assert "the data have no more rows" in done.out
    (row,) = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert row["train"]["largest"] == row["train"]["rows"] == 56
    assert [trial["rows"] for trial in row["train"]["trials"]] == [1, 56]
    assert (tmp_path / "figures" / "batches.png").is_file()
    assert "Largest batch" in welltuned("report", tmp_path).out


def test_nothing_fits_is_an_answer(welltuned: Command, problem: Path, bert: Path, tmp_path: Path) -> None:
    done = welltuned("max-batch", problem, "--model", bert, "--memory-limit", "20MiB", "--out", tmp_path, "--json")
    assert done.code == 0, done.err
    (row,) = json.loads(done.out)["rows"]
    assert (row["train"]["largest"], row["evaluation"]["largest"]) == (0, 0)


@pytest.mark.parametrize("size", ["much", "0", "-3GiB"])
def test_a_wrong_size_is_refused(size: str, welltuned: Command, problem: Path, bert: Path) -> None:
    done = welltuned("max-batch", problem, "--model", bert, f"--memory-limit={size}")
    assert done.code == 2
    assert "--memory-limit" in done.err
