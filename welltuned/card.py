"""The model card: a run's records as the README.md of its model folder, with the metadata that the Hub reads.

Made from records and stored answers alone. What would tell of the machine or of single rows (paths, the command line,
examples in alarms) stays out, because cards are published. Metadata: https://huggingface.co/docs/hub/model-cards
(Mitchell et al. 2019, "Model Cards for Model Reporting").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub import EvalResult, ModelCardData
from numpy.typing import NDArray

from welltuned import addresses
from welltuned.data.sources import hub_id
from welltuned.judging import RunJudgement, judge_run
from welltuned.record import (
    Alarm,
    ComparisonRecord,
    RunRecord,
    Score,
    SearchRecord,
    TableRow,
    TrainingRecord,
    read_arrays,
    read_run,
    write_bytes,
)

NAME = "README.md"
MODEL = "model"
TASK = "text-classification"
HERE = f'pipeline("{TASK}", ".")'
"""How the card opens the model from within its own folder."""

Results = TrainingRecord | ComparisonRecord | SearchRecord


@dataclass(frozen=True)
class _Subject:
    """What a card tells of.

    Attributes:
        config: of the saved model.
        results: what the command found that this run is part of; None before its test labels were opened.
        adapter: whether there is one beside the model.
    """

    record: RunRecord
    judged: RunJudgement
    config: Mapping[str, Any]
    results: Results | None
    adapter: bool

    @property
    def stock(self) -> bool:
        """Whether plain Transformers knows the model's class."""
        return bool(self.config["model_type"] != "welltuned")

    @property
    def base(self) -> str | None:
        """The Hub id of the pretrained model; None for one that only this machine has."""
        return addresses.hub_id(self.record.spec.model.name)

    @property
    def data(self) -> str:
        """What the data set is called."""
        source = self.record.spec.data.source
        return hub_id(source) or Path(source.removeprefix("builtin:")).expanduser().resolve().stem

    @property
    def pooling(self) -> str:
        """How the head reads the encoder, in words."""
        return {
            "mean": "a linear layer over the mean of all tokens",
            "first": "a linear layer over the first token",
            "native": "the architecture's own classification head",
        }[self.record.spec.model.head]


def write(
    folder: Path, record: RunRecord, results: Results | None = None, labels: NDArray[np.int64] | None = None
) -> None:
    """Write the card of one run into its model folder.

    Args:
        folder: of the run, with its predictions and ``model/``.
        results: what the command found that the run is part of, once it is judged.
        labels: [M] the opened test labels; None leaves the card without test figures.

    Raises:
        DataError: predictions or the model's config cannot be read.
        ResourceError: the card cannot be written.
    """
    model = folder / MODEL
    subject = _Subject(
        record=record,
        judged=judge_run(record, read_arrays(folder / "predictions.safetensors"), labels),
        config=json.loads((model / "config.json").read_bytes()),
        results=results,
        adapter=(model / "adapter").is_dir(),
    )
    write_bytes(model / NAME, _card(subject).encode())


def write_all(folder: Path, results: Results) -> None:
    """Write the cards of the judged runs of a command, with their test figures.

    Args:
        folder: of the command's results, with the opened ``labels.safetensors`` (none where a few rows were overfit).
        results: what it found.

    Raises:
        DataError, ResourceError: as :func:`write`.
    """
    opened = folder / "labels.safetensors"
    labels = read_arrays(opened)["test.labels"] if opened.is_file() else None
    for run in _judged_runs(folder, results):
        write(run, read_run(run), results, labels)


def addressed(card: str, repository: str) -> str:
    """The card as it reads on the Hub: its lines open the model from there."""
    return card.replace(HERE, HERE.replace('"."', json.dumps(repository)))


def _judged_runs(folder: Path, results: Results) -> list[Path]:
    if isinstance(results, TrainingRecord):
        return [folder]
    if isinstance(results, SearchRecord):
        return [folder / "trials" / name for name in results.winner.runs]
    return [folder / "runs" / name for row in results.table if row.kind == "method" for name in row.runs]


def _card(one: _Subject) -> str:
    record = one.record
    base = one.base or "a local encoder"
    parts = [
        f"---\n{_metadata(one).to_yaml()}\n---",
        f"# {record.name}",
        f"{_code(base)} under {one.pooling}, fine-tuned with `{record.spec.method.name}` on {one.data}. "
        f"It answers {'a pair of texts' if record.takes_pairs else 'a text'} with "
        f"{_labels(record.labels)}. Made with Welltuned {record.provenance.welltuned}.",
        *_use(one),
        *_scores(one),
        *_alarms(one),
        *_training(one),
        *_data(one),
        *_limits(one),
        *_provenance(one),
    ]
    return "\n\n".join(parts) + "\n"


def _metadata(one: _Subject) -> ModelCardData:
    """What the Hub reads; the test figures stand in the model index, those of dev do not, as dev was chosen on."""
    data = hub_id(one.record.spec.data.source)
    return ModelCardData(
        license=addresses.LICENSES.get(one.base or ""),
        library_name="transformers" if one.stock else "welltuned",
        pipeline_tag=TASK,
        tags=["welltuned", TASK, one.record.spec.method.name],
        base_model=one.base,
        base_model_relation="finetune" if one.base else None,
        datasets=[data] if data else None,
        metrics=["accuracy"],
        model_name=one.record.name,
        eval_results=_index(one),
    )


def _index(one: _Subject) -> list[EvalResult] | None:
    test, measures = one.judged.test, one.judged.measures
    if test is None or measures is None:
        return None
    found = {"accuracy": test.accuracy, "f1": measures.f1, "matthews_correlation": measures.mcc}
    names = {"accuracy": "Accuracy", "f1": f"F1 of {measures.f1_of}", "matthews_correlation": "Matthews correlation"}
    return [
        EvalResult(
            task_type=TASK,
            task_name="Text Classification",
            dataset_type=hub_id(one.record.spec.data.source) or one.data,
            dataset_name=one.data,
            dataset_split="test",
            dataset_args={"sha256": one.record.provenance.data_hash, "rows": one.record.rows["test"]},
            metric_type=metric,
            metric_name=names[metric],
            metric_value=round(value, 6),
        )
        for metric, value in found.items()
    ]


def _use(one: _Subject) -> list[str]:
    pair = one.record.takes_pairs
    row = '{"text": "is it so", "text_pair": "It is so."}' if pair else '"It is so."'
    known = [] if one.stock else ["import welltuned  # pip install welltuned: it lets Transformers know this model"]
    lines = [
        *known,
        "from transformers import pipeline",
        "",
        f"ask = {HERE}",
        f"print(ask({row}, truncation={json.dumps('only_second') if pair else True}))",
    ]
    where = 'The lines run in this folder; from elsewhere, name the folder in the place of `"."`.'
    adapter = ["`adapter/` holds the trained tensors alone, for peft."] if one.adapter else []
    return ["## Use", "```python\n" + "\n".join(lines) + "\n```", " ".join([where, *adapter])]


def _scores(one: _Subject) -> list[str]:
    judged, record = one.judged, one.record
    told = [("dev", judged.dev)] + ([("test", judged.test)] if judged.test else [])
    rows = [(split, f"{record.rows[split]:,}", f"{score.accuracy:.1%}", _interval(score)) for split, score in told]
    said = [
        f"{_chosen(one)} Always the most frequent class has {judged.majority_dev:.1%} of dev right.",
    ]
    if record.spec.train.overfit is not None:
        said = [f"This run was to overfit {record.rows['dev']} rows; its figures say nothing about other texts."]
    elif one.judged.test is None:
        said.append("The test labels were not opened for this run.")
    return [
        "## Scores",
        _table(("split", "rows", "accuracy", f"{judged.dev.level * 100:g}% interval (Wilson)"), rows),
        " ".join(said),
        *_measured(one),
        *_among_others(one),
    ]


def _chosen(one: _Subject) -> str:
    """What was chosen on dev, in a sentence."""
    record, trials = one.record, _trials(one)
    chosen = [f"the epoch ({record.best_epoch} of {len(record.curve)})"] if len(record.curve) > 1 else []
    chosen += [f"the hyperparameters (the best of {trials} trials)"] if trials > 1 else []
    return f"Dev chose {' and '.join(chosen)}, so its figure leans high." if chosen else "Nothing was chosen on dev."


def _trials(one: _Subject) -> int:
    if isinstance(one.results, SearchRecord):
        return len(one.results.trials)
    if isinstance(one.results, ComparisonRecord) and (budget := _row(one.results, one.record).budget):
        return budget.trials
    return 1


def _row(results: ComparisonRecord, record: RunRecord) -> TableRow:
    """The line of a comparison that the run stands in."""
    return next(row for row in results.table if record.name in row.runs)


def _measured(one: _Subject) -> list[str]:
    measures = one.judged.measures
    if measures is None:
        return []
    return [
        f"Other measures on test: F1 of {_code(measures.f1_of)} {measures.f1:.3f}, Matthews correlation "
        f"{measures.mcc:.3f}, log loss {measures.log_loss:.3f} nats, expected calibration error {measures.ece:.3f} "
        "(15 bins)."
    ]


def _among_others(one: _Subject) -> list[str]:
    """How the run stands in the command that it is part of, and how often its test labels were opened."""
    results, said = one.results, []
    if results is None or not results.test_openings:
        return []
    if isinstance(results, ComparisonRecord):
        row = _row(results, one.record)
        entrants = sum(other.kind != "baseline" for other in results.table)
        place = "the winner" if row.name == results.winner else "one"
        chosen = "; test rows chose it among them, so its test figure may lean high" if place != "one" else ""
        said.append(f"It is {place} of a comparison of {entrants} configurations{chosen if entrants > 1 else ''}.")
        said += _over_seeds(row.test, len(row.runs))
        said += [f"{other.name[:1].upper()}{other.name[1:]} has {other.test.accuracy:.1%} of test right." for other in
                 results.table if other.kind == "baseline" and other.test]  # fmt: skip
    elif isinstance(results, SearchRecord):
        said += _over_seeds(results.test, len(results.seeds))
        said.append(f"Always the most frequent class has {results.majority['test']:.1%} of test right.")
    times = "once" if results.test_openings == 1 else f"{results.test_openings} times"
    return [" ".join([*said, f"The test labels were opened {times}."])]


def _over_seeds(score: Score | None, seeds: int) -> list[str]:
    if score is None or seeds < 2:
        return []
    return [f"Over its {seeds} seeds the configuration has {score.accuracy:.1%} of test right ({_interval(score)})."]


def _alarms(one: _Subject) -> list[str]:
    found = {(alarm.kind, alarm.what): alarm for alarm in (*one.record.alarms, *_of_results(one))}
    lines = [
        # What follows "such as" are rows of the data and their places.
        f"- **{alarm.kind}**: {_plain(alarm.what.partition(', such as ')[0])}. Likely cause: {_plain(alarm.cause)}."
        for alarm in found.values()
    ]
    return ["## Alarms", "\n".join(lines) if lines else "None was raised."]


def _of_results(one: _Subject) -> Sequence[Alarm]:
    if isinstance(one.results, ComparisonRecord):
        return [*_row(one.results, one.record).alarms, *one.results.alarms]
    return one.results.alarms if one.results else []


def _training(one: _Subject) -> list[str]:
    record = one.record
    settings = {**record.spec.method.config, **record.spec.train.model_dump(), **record.spec.compute.model_dump()}
    settings = {name: value for name, value in settings.items() if value is not None}
    parts = [(_plain(part), f"{count:,}") for part, count in record.ledger.items()]
    share = record.trained_parameters / record.all_parameters
    return [
        "## Training",
        f"Method `{record.spec.method.name}`: {record.trained_parameters:,} of {record.all_parameters:,} parameters "
        f"are trained ({share:.2%}).",
        _table(("part", "trained parameters"), parts),
        _table(("setting", "value"), [(name.replace("_", " "), _plain(_value(it))) for name, it in settings.items()]),
        f"It took {sum(row.seconds for row in record.curve):.1f} s, evaluation on dev included, and "
        f"{record.memory.peak / 1024**2:,.0f} MiB at the peak of a training step.",
    ]


def _data(one: _Subject) -> list[str]:
    record = one.record
    cut = {name: f"{part.share:.1%}" for name, part in record.truncation.items()}
    rows = [(name, f"{count:,}", cut.get(name, "")) for name, count in record.rows.items()]
    columns = ", ".join(f"{role} from {_code(name)}" for role, name in record.columns.items() if name)
    return [
        "## Data",
        f"{one.data}, SHA-256 `{record.provenance.data_hash}`" + (f"; {columns}." if columns else "."),
        _table(("split", "rows", f"cut at {record.spec.model.max_length} tokens"), rows),
    ]


def _limits(one: _Subject) -> list[str]:
    record, known = one.record, addresses.LICENSES.get(one.base or "")
    license_words = f"The base weights are under {known}; the" if known else "The licence of the base is not known; the"
    limits = [
        f"It has seen {record.rows['train']:,} training rows of one data set; the figures hold for rows like those.",
        f"It answers every text with one of {_labels(record.labels)}, also where none of them fits.",
        f"It reads {record.spec.model.max_length} tokens at most; of longer texts the end is not seen.",
        "The languages of the data were not examined; do not expect it to work in others than those.",
        "It was trained with one seed; another seed gives somewhat other answers.",
        "What the base model learned in pretraining, its prejudices included, is still in it.",
        f"{license_words} data may set terms of its own.",
    ]
    return ["## Limits", "\n".join(f"- {limit}" for limit in limits)]


def _provenance(one: _Subject) -> list[str]:
    made = one.record.provenance
    told = {
        "run": one.record.id,
        "base model": one.base or "a folder of the machine it was trained on",
        "weights, SHA-256": made.weights_hash,
        "data, SHA-256": made.data_hash,
        "hardware": f"{made.processor}, {made.cores} cores, {made.memory_bytes / 1024**3:.0f} GiB",
        "device": f"{made.device}, {made.precision}, {made.threads} threads",
        "system": f"{made.platform}, Python {made.python}",
        "versions": ", ".join(f"{name} {version}" for name, version in made.versions.items()),
    }
    return ["## Provenance", _table(("", ""), [(name, _plain(value)) for name, value in told.items()])]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _interval(score: Score) -> str:
    return f"{score.low:.1%} to {score.high:.1%}"


def _value(setting: Any) -> str:
    return ", ".join(map(str, setting)) if isinstance(setting, list | tuple) else str(setting)


def _labels(names: Sequence[str]) -> str:
    shown = [_code(name) for name in names[:10]]
    return " or ".join(shown) if len(names) <= 10 else f"one of {len(names)} labels ({', '.join(shown)}, ...)"


def _code(text: str) -> str:
    return f"`{_plain(text).replace('`', chr(39))}`"


def _plain(text: str) -> str:
    """On one line, and no column's end."""
    return " ".join(text.split()).replace("|", "\\|")
