from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import model_index_to_eval_results
from made_records import METHODS, make_comparison, make_run, make_search, score, write_comparison, write_run

from welltuned import card
from welltuned.alarms import leaks
from welltuned.data.checks import Example, Overlap
from welltuned.record import (
    Alarm,
    Budget,
    RunRecord,
    TrainingRecord,
    write_arrays,
    write_bytes,
    write_json,
)

LABELS = np.arange(8) % 2
"""Six of eight stored answers are right on them."""


def with_model(folder: Path, model_type: str = "welltuned") -> Path:
    write_json(folder / "model" / "config.json", {"model_type": model_type})
    return folder


def written(folder: Path, run: RunRecord, *judged: object, model_type: str = "welltuned") -> str:
    write_run(folder, run)
    card.write(with_model(folder, model_type), run, *judged)  # type: ignore[arg-type]
    return (folder / "model" / "README.md").read_text()


def training(run: RunRecord, alarms: list[Alarm]) -> TrainingRecord:
    return TrainingRecord(
        command="welltuned train /home/ann/secret.csv", run=run.name, data="yesno", dev=score(0.75), test=score(0.75),
        majority_dev=0.5, learned=None, verdict="", test_openings=1, alarms=alarms,
    )  # fmt: skip


def pairs(run: RunRecord) -> RunRecord:
    return run.model_copy(update={"columns": {"text": "question", "text_pair": "passage", "label": "answer"}})


def test_the_metadata_is_what_the_hub_reads(tmp_path: Path) -> None:
    run = make_run("lora")
    data = ModelCard(written(tmp_path, run, training(run, []), LABELS)).data
    assert (data.base_model, data.license, data.pipeline_tag) == (
        "sentence-transformers/all-MiniLM-L6-v2", "apache-2.0", "text-classification",
    )  # fmt: skip
    assert {"welltuned", "lora"} <= set(data.tags)
    name, results = model_index_to_eval_results(data.to_dict()["model-index"])
    assert name == run.name
    assert {(one.task_type, one.dataset_name, one.dataset_split) for one in results} == {
        ("text-classification", "yesno", "test")
    }
    assert {one.metric_type: one.metric_value for one in results} == {
        "accuracy": 0.75, "f1": pytest.approx(2 / 3), "matthews_correlation": pytest.approx(0.57735, abs=1e-5),
    }  # fmt: skip
    assert results[0].dataset_args["sha256"] == run.provenance.data_hash


def test_before_the_test_labels_are_opened_no_test_figure_stands(tmp_path: Path) -> None:
    text = written(tmp_path, make_run())
    data = ModelCard(text).data.to_dict()
    assert "model-index" not in data
    assert "| test | 1,635 | 7" not in text
    assert "| dev | 1,635 | 75.0% | 40.9% to 92.9% |" in text
    assert "The test labels were not opened for this run." in text
    assert "Dev chose the epoch" in text


def test_everything_that_a_reader_asks_is_there(tmp_path: Path) -> None:
    run = make_run("lora")
    text = written(tmp_path, run, training(run, []), LABELS)
    for part in (
        "| test | 1,635 | 75.0% | 40.9% to 92.9% |", "| lora | 147,456 |",
        "| lr | 0.0005 |", run.provenance.data_hash, run.provenance.weights_hash, "torch 2.9.1", "Example CPU (avx2)",
        "| train | 9,427 | 10.8% |", "256 tokens", "The test labels were opened once.", "## Limits",
        "None was raised.", "F1 (yes) 0.667", "148,226 of 22,713,986 parameters are trained (0.65%)",
    ):  # fmt: skip
        assert part in text


def test_nothing_of_this_machine_stands_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    base, data = tmp_path / "home" / "base", tmp_path / "home" / "letters.csv"
    write_bytes(base / "config.json", b"{}")
    write_bytes(data, b"")
    run = make_run()
    spec = run.spec.model_copy(
        update={
            "model": run.spec.model.model_copy(update={"name": str(base)}),
            "data": run.spec.data.model_copy(update={"source": str(data)}),
        }
    )
    example = Example("Dear Ann", f"{data}:2", f"{data}:9")
    leak = leaks._alarm(Overlap("train", "test", "row", "exact", False, 3, 3, 3, (example,)), {"train": 9, "test": 6})
    run = run.model_copy(update={"spec": spec, "notes": [f"{data}: 2 numbers are read as text"]})
    text = written(tmp_path / "run", run, training(run, [leak]), LABELS)
    assert str(tmp_path) not in text
    assert "/home" not in text
    assert "hf_very_secret" not in text
    assert "Dear Ann" not in text
    assert "**leak-rows**: 3 of 6 test rows have a row that stands in train too (exact; 3 rows). Likely" in text
    assert "fine-tuned with `lora` on letters." in text
    told = ModelCard(text).data.to_dict()
    assert "base_model" not in told
    assert "license" not in told
    assert "datasets" not in told


def test_a_set_of_the_hub_is_named(tmp_path: Path) -> None:
    run = make_run()
    spec = run.spec.model_copy(update={"data": run.spec.data.model_copy(update={"source": "boolq"})})
    run = run.model_copy(update={"spec": spec})
    data = ModelCard(written(tmp_path, run, training(run, []), LABELS)).data
    assert data.datasets == ["google/boolq"]
    assert data.eval_results[0].dataset_type == "google/boolq"


def test_the_lines_to_paste_say_what_the_model_needs(tmp_path: Path) -> None:
    own = written(tmp_path / "own", pairs(make_run()))
    stock = written(tmp_path / "stock", make_run(), model_type="bert")
    assert "import welltuned" in own
    assert 'truncation="only_second"' in own
    assert ModelCard(own).data.library_name == "welltuned"
    assert "import welltuned" not in stock
    assert 'ask("It is so.", truncation=True)' in stock
    assert ModelCard(stock).data.library_name == "transformers"
    there = card.addressed(own, "ann/yesno")
    assert 'ask = pipeline("text-classification", "ann/yesno")\n' in there
    assert "this folder" not in there


def test_a_comparison_writes_the_card_of_every_judged_run(tmp_path: Path) -> None:
    record = make_comparison()
    record.winner = "lora on minilm"
    record.table[1].budget = Budget(trials=3, seconds=1.0, scores=[0.1, 0.2, 0.3], best_after=[])
    write_comparison(tmp_path, record)
    write_arrays(tmp_path / "labels.safetensors", {"test.labels": LABELS})
    for run in (tmp_path / "runs").iterdir():
        with_model(run)
    card.write_all(tmp_path, record)
    cards = {path.parts[-3]: path.read_text() for path in tmp_path.glob("runs/*/model/README.md")}
    assert len(cards) == 2 * len(METHODS)
    winner, other = (cards[make_run(method, 1).name] for method in ("lora", "prefix"))
    assert "the winner of a comparison of 5 configurations; test rows chose it" in winner
    assert "the hyperparameters (the best of 3 trials)" in winner
    assert "Over its 2 seeds the configuration gets 71.1% of test right (69.0% to 73.1%)." in winner
    assert "Majority class gets 61.7% of test right." in winner
    assert "one of a comparison of 5 configurations." in other
    assert "hyperparameters (" not in other
    assert "**truncation**" in other
    assert "**truncation**" not in winner


def test_a_search_writes_the_cards_of_the_chosen_trial(tmp_path: Path) -> None:
    record, seeds = make_search(), [make_run("full", seed) for seed in (0, 1)]
    record.winner.runs = [run.name for run in seeds]
    for run in seeds:
        write_run(with_model(tmp_path / "trials" / run.name), run)
    write_arrays(tmp_path / "labels.safetensors", {"test.labels": LABELS})
    card.write_all(tmp_path, record)
    text = (tmp_path / "trials" / seeds[1].name / "model" / "README.md").read_text()
    assert "the hyperparameters (the best of 6 trials)" in text
    assert "Over its 2 seeds the configuration gets 73.1% of test right" in text


def test_a_run_that_overfits_promises_nothing(tmp_path: Path) -> None:
    run = make_run()
    spec = run.spec.model_copy(update={"train": run.spec.train.model_copy(update={"overfit": 10})})
    text = written(tmp_path, run.model_copy(update={"spec": spec, "rows": {"train": 10, "dev": 10}}))
    assert "say nothing about other texts" in text
    assert "leans high" not in text


def test_labels_and_names_cannot_break_the_page(tmp_path: Path) -> None:
    run = make_run().model_copy(update={"labels": ["a|b\n`c`", "yes: no"]})
    text = written(tmp_path, run, training(run, []), LABELS)
    assert "`a\\|b 'c'`" in text
    assert model_index_to_eval_results(ModelCard(text).data.to_dict()["model-index"])
    assert not re.search(r"^c`", text, re.MULTILINE)
