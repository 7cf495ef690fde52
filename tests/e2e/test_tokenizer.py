from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from .conftest import Command


def test_every_sub_command_has_help(welltuned: Command) -> None:
    listed = welltuned("tokenizer", "--help").out
    for name in ("inspect", "train", "explain"):
        assert name in listed
        assert welltuned("tokenizer", name, "--help").code == 0


def test_two_models_stand_side_by_side(welltuned: Command, problem: Path, model_folder) -> None:
    models = f"{model_folder('bert')},{model_folder('roberta')}"
    done = welltuned("tokenizer", "inspect", problem, "--models", models, "--row", "2")
    assert done.code == 0, done.err
    for part in ("[CLS] A [SEP] B [SEP]", "<s> A </s> </s> B </s>", "rows.csv:3 as each", "newly trained", "by class"):
        assert part in done.out, part
    record = json.loads(welltuned("tokenizer", "inspect", problem, "--models", models, "--json").out)
    assert [row["kind"] for row in record["models"]] == ["WordPiece", "BPE"]
    assert record["advice"] in done.out


@pytest.mark.parametrize(("kind", "size"), [("bpe", 280), ("wordpiece", 90)])
def test_a_trained_one_explains_and_is_inspected(
    kind: str, size: int, welltuned: Command, problem: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "t"
    done = welltuned("tokenizer", "train", problem, "--vocab-size", size, "--kind", kind, "--out", folder)
    assert done.code == 0, done.err
    assert len(AutoTokenizer.from_pretrained(folder)) <= size
    explained = welltuned("tokenizer", "explain", "red sun", "--model", folder)
    assert "splits it the same way" in explained.out
    assert json.loads(welltuned("tokenizer", "explain", "red", "--model", folder, "--json").out)["words"]
    assert welltuned("tokenizer", "inspect", problem, "--model", folder).code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("inspect", "DATA", "--row", "999"), 2, "--row"),
        (("inspect", "DATA", "--models", "MODEL,MODEL"), 2, "--models"),
        (("train", "DATA", "--vocab-size", "11"), 2, "--vocab-size"),
        (("train", "nowhere.txt", "--vocab-size", "99"), 3, "nowhere.txt"),
        (("train", "DATA", "--vocab-size", "99", "--kind", "x"), 2, "--kind"),
        (("explain", "[SEP]", "--model", "MODEL"), 2, "special token"),
        (("explain", "", "--model", "MODEL"), 2, "nothing is left"),
        (("explain", "sun", "--model", "./nowhere"), 2, "nowhere"),
    ],
)
def test_what_cannot_be_done_is_told(
    arguments: tuple[str, ...], code: int, said: str, welltuned: Command, problem: Path, bert: Path
) -> None:
    places = {"DATA": str(problem), "MODEL": str(bert)}
    given = [",".join(places.get(part, part) for part in one.split(",")) for one in arguments]
    done = welltuned("tokenizer", *given)
    assert done.code == code
    assert said in done.err
