"""The attention laboratory from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Command


def test_without_an_experiment_all_are_listed(welltuned: Command) -> None:
    done = welltuned("attention")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()[1:8]] == [
        "averaging", "copying", "estimators", "extracting", "maps", "retrieval", "weights",
    ]  # fmt: skip


def test_help_names_the_numbers_of_an_experiment_and_is_light_without_one(welltuned: Command) -> None:
    assert "--temperature X" in welltuned("attention", "weights", "--help").out
    assert "--input" in welltuned("attention", "-h").out
    code = (
        "import sys\n"
        "from welltuned.cli import main\n"
        "try: main(['attention', '--help'])\n"
        "except SystemExit as left: assert not left.code\n"
        "assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_sheet_s_example_in_words_in_json_and_on_disk(welltuned: Command, tmp_path: Path) -> None:
    done = welltuned("attention", "weights", "--out", tmp_path / "lab")
    assert "argmax  (3, 2, -4)" in done.out
    assert sorted(path.name for path in (tmp_path / "lab").iterdir()) == ["results.json", "weights.png"]
    kept = json.loads((tmp_path / "lab" / "results.json").read_text())
    assert kept["command"].startswith("welltuned attention weights")
    assert kept["experiments"]["weights"]["results"]["scores"] == [3, 1, 1, -3]
    assert kept["experiments"]["weights"]["figures"] == ["weights.png"]
    printed = json.loads(welltuned("attention", "weights", "--json").out)
    assert printed["experiments"]["weights"]["results"] == kept["experiments"]["weights"]["results"]


def test_all_makes_every_experiment(welltuned: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("welltuned.attention.experiments.names", lambda: ("extracting", "weights"))
    done = welltuned("attention", "all", "--out", tmp_path)
    assert "== extracting: " in done.out
    assert "== weights: " in done.out
    assert set(json.loads((tmp_path / "results.json").read_text())["experiments"]) == {"extracting", "weights"}
    assert {path.stem for path in tmp_path.glob("*.png")} == {"extracting", "weights"}


def test_a_flag_overrides_a_file_and_options_may_stand_anywhere(welltuned: Command, tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_text('{"query": [1, 0], "keys": [[2, 0], [0, 2]], "values": [[5], [7]]}')
    done = welltuned("attention", "weights", "--query", "-1,0", "--json", "--input", mine)
    found = json.loads(done.out)["experiments"]["weights"]
    assert found["numbers"]["query"] == [-1, 0]
    assert found["results"]["scores"] == [-2, 0]


WRONG = {
    "unknown experiment": (["wieghts"], "did you mean weights"),
    "unknown flag": (["weights", "--tempreature", "1"], "did you mean --temperature"),
    "flag before the experiment": (["--eps", "1", "copying"], "first"),
    "numbers for all": (["all", "--seed", "1"], "all takes the defaults"),
    "no such file": (["weights", "--input", "nothing.json"], "nothing.json"),
    "bad number": (["weights", "--query", "1,x,3"], "--query[1]"),
    "no such model": (["maps", "--model", "./nothing"], "nothing"),
    "too long a text": (["maps", "--max-length", "3"], "--max-length"),
    "no such head": (["maps", "--heads", "6,0"], "layers 0..5"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_call(name: str, welltuned: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arguments, said = WRONG[name]
    done = welltuned("attention", *arguments)
    assert done.code == 2, done.err
    assert said in done.err
    assert "mend:" in done.err


def test_a_folder_that_is_a_file_is_refused(welltuned: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert welltuned("attention", "weights", "--out", tmp_path / "file").code == 2
    assert welltuned("attention", "weights", "--out", tmp_path / "file" / "below").code == 4


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "modernbert"])
def test_the_heads_of_every_family_can_be_seen(welltuned: Command, model_folder, family: str, tmp_path: Path) -> None:
    done = welltuned(
        "attention", "maps", "--model", model_folder(family), "--question", "is the moon red", "--passage", "the moon",
        "--heads", "0,1;2,3", "--max-length", "32", "--out", tmp_path,
    )  # fmt: skip
    assert done.code == 0, done.err
    kept = json.loads((tmp_path / "results.json").read_text())["experiments"]["maps"]["results"]
    assert len(kept["entropy"]) == 3
    assert (tmp_path / "maps.png").stat().st_size > 0
