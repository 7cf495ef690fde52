from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from families import write_examples

from welltuned import run as runs
from welltuned import search as searching
from welltuned.errors import DivergedError, UsageError
from welltuned.plan import candidate
from welltuned.progress import Observer
from welltuned.record import RunRecord, SearchRecord, read_arrays
from welltuned.search import Search, search, space, trials
from welltuned.spec import ComputeSpec, DataSpec, ModelSpec, RunSpec
from welltuned.workbench import Workbench


class Heard(Observer):
    def __init__(self) -> None:
        self.stages: list[str] = []
        self.parts: list[tuple[int, int]] = []

    def stage(self, title: str, total: int) -> None:
        self.stages.append(title)

    def part(self, done: int, total: int, left: float) -> None:
        assert left >= 0
        self.parts.append((done, total))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_examples(tmp_path_factory.mktemp("rows"), {"train": 40, "dev": 16, "test": 12})


Make = Callable[..., Search]


@pytest.fixture
def plan(rows: Path, model_folder: Callable[[str], Path]) -> Make:
    def made(grids: list[str], method: str = "head", **options: Any) -> Search:
        return Search(
            data=DataSpec(source=str(rows)),
            model=ModelSpec(name=str(model_folder("bert")), max_length=40),
            base=candidate(method, {"batch_size": 8, "epochs": 2}),
            space=space(method, grids, []),
            compute=ComputeSpec(device="cpu", precision="fp32"),
            **options,
        )

    return made


def test_dev_chooses_and_test_is_opened_once_for_the_chosen(plan: Make, tmp_path: Path) -> None:
    tmp_path, heard = tmp_path / "out", Heard()  # beside nobody's results
    found = search(plan(["lr=1e-5,1e-2,3e-2", "epochs=1,3"], seeds=(0, 1)), tmp_path, Workbench(heard), "typed")
    assert SearchRecord.model_validate_json((tmp_path / "results.json").read_text()) == found
    assert heard.parts == [(done, 6) for done in range(1, 7)]
    scores = {}
    for one in found.trials:
        stored = [read_arrays(tmp_path / "trials" / name / "predictions.safetensors") for name in one.runs]
        dev = [float((a["dev.logits"].argmax(1) == a["dev.labels"]).mean()) for a in stored]
        assert one.dev_by_seed == pytest.approx(dev)
        assert one.dev == pytest.approx(np.mean(dev))
        scores[one.number] = (one.dev, -(one.dev_loss or 0))
        whole = all((tmp_path / "trials" / name / "model").is_dir() for name in one.runs)
        assert whole == (one.number == found.chosen)
        assert all(("test.logits" in arrays) == whole for arrays in stored)
    assert max(scores, key=scores.__getitem__) == found.chosen
    assert not list(tmp_path.rglob(runs.STATE))
    labels = read_arrays(tmp_path / "labels.safetensors")["test.labels"]
    logits = [
        read_arrays(tmp_path / "trials" / name / "predictions.safetensors")["test.logits"] for name in found.winner.runs
    ]
    assert found.test.accuracy == pytest.approx(np.mean([one.argmax(1) == labels for one in logits]))
    (line,) = (tmp_path / "vault.jsonl").read_text().splitlines()
    assert json.loads(line)["purpose"] == f"search: score of trial {found.chosen + 1}"
    assert found.test_openings == 1


def test_no_trial_answers_the_test_rows_before_the_choice(
    plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> RunRecord:
        raise KeyboardInterrupt

    monkeypatch.setattr(searching, "complete", stopped)
    with pytest.raises(KeyboardInterrupt):
        search(plan(["lr=1e-3,1e-2"]), tmp_path, Workbench(), "typed")
    for path in tmp_path.rglob("predictions.safetensors"):
        assert set(read_arrays(path)) == {"dev.logits", "dev.labels"}
    assert not (tmp_path / "vault.jsonl").exists()
    assert len(list(tmp_path.rglob(runs.STATE))) == 1, "only the best so far keeps its tensors"


def test_a_search_that_was_cut_off_goes_on(plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = plan(["lr=1e-3,1e-2"], trials=6, sampler="tpe")
    one = Search(**{**vars(one), "space": space("head", [], ["lr=1e-4..1e-1"])})
    whole = search(one, tmp_path / "whole", Workbench(), "typed")
    asked = 0

    def breaks_off(spec: RunSpec, folder: Path, bench: Workbench, *_: Any) -> RunRecord:
        nonlocal asked
        asked += 1
        if asked == 4:
            raise KeyboardInterrupt
        return runs.trial(spec, folder, bench)

    with monkeypatch.context() as patch:
        patch.setattr(trials, "trial", breaks_off)
        with pytest.raises(KeyboardInterrupt):
            search(one, tmp_path / "cut", Workbench(), "typed")
    heard = Heard()
    after = search(one, tmp_path / "cut", Workbench(heard), "typed")
    assert sum(stage.startswith("epoch 1/") for stage in heard.stages) == 3, "three were finished before"
    told = {"trials": {"__all__": {"seconds"}}, "openings": True}
    assert after.model_dump(exclude=told) == whole.model_dump(exclude=told)


def test_a_finished_search_is_read(plan: Make, tmp_path: Path) -> None:
    first = search(plan(["lr=1e-3,1e-2"]), tmp_path, Workbench(), "typed")
    heard = Heard()
    assert search(plan(["lr=1e-3,1e-2"]), tmp_path, Workbench(heard), "typed again") == first
    assert heard.stages == []
    assert len((tmp_path / "vault.jsonl").read_text().splitlines()) == 1
    wider = search(plan(["lr=1e-3,1e-2,1e-1"]), tmp_path, Workbench(heard), "typed")
    assert len(wider.trials) == 3
    assert sum(stage.startswith("epoch 1/") for stage in heard.stages) == 1, "the first two were done before"


def test_a_trial_that_fails_stands_as_failed(plan: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverges(spec: RunSpec, folder: Path, bench: Workbench, *_: Any) -> RunRecord:
        if spec.train.lr > 1e-2:
            raise DivergedError("not finite at step 3")
        return runs.trial(spec, folder, bench)

    monkeypatch.setattr(trials, "trial", diverges)
    found = search(plan(["lr=1e-3,9e-1"]), tmp_path / "one", Workbench(), "typed")
    assert [one.failure for one in found.trials] == [None, "not finite at step 3"]
    assert found.chosen == 0
    with pytest.raises(DivergedError, match="step 3"):
        search(plan(["lr=8e-1,9e-1"]), tmp_path / "all", Workbench(), "typed")


@pytest.mark.parametrize(
    ("grids", "match"),
    [
        (["lr=1e-3,fast"], "'fast' is no lr"),
        (["rank=2,4"], "head does not take rank='2'"),
        (["seed=0,1"], "common to all methods"),
        (["lr=1e-3,0.001"], "the same"),
    ],
)
def test_a_wrong_space_is_refused_before_anything_is_trained(
    grids: list[str], match: str, plan: Make, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=match):
        search(plan(grids), tmp_path, Workbench(), "typed")
    assert not (tmp_path / "trials").exists()


def test_other_results_are_left_alone(plan: Make, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text("{}")
    with pytest.raises(UsageError, match="holds other results"):
        search(plan(["lr=1e-3"]), tmp_path, Workbench(), "typed")
