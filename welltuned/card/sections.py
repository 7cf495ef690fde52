"""What people read of a card, section by section: use, scores, alarms, training, data, limits, provenance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from welltuned import addresses
from welltuned.card.markdown import code, plain, table
from welltuned.card.subject import HERE, Subject
from welltuned.record import Alarm, ComparisonRecord, Score, SearchRecord


def use(one: Subject) -> list[str]:
    """The lines to paste."""
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
    adapter = ["`adapter/` holds the trained tensors alone, for peft."] if one.adapter else []
    return ["## Use", "```python\n" + "\n".join(lines) + "\n```", *adapter]


def scores(one: Subject) -> list[str]:
    """Accuracy on dev and test, what was chosen on which, and how others did."""
    judged, record = one.judged, one.record
    told = [("dev", judged.dev)] + ([("test", judged.test)] if judged.test else [])
    rows = [(split, f"{record.rows[split]:,}", f"{score.accuracy:.1%}", _interval(score)) for split, score in told]
    said = [_chosen(one), f"Always answering the most frequent class gets {judged.majority_dev:.1%} of dev right."]
    if record.spec.train.overfit is not None:
        said = [f"This run was to overfit {record.rows['dev']} rows; its figures say nothing about other texts."]
    elif one.judged.test is None:
        said.append("The test labels were not opened for this run.")
    return [
        "## Scores",
        table(("split", "rows", "accuracy", f"{judged.dev.level * 100:g}% interval (Wilson)"), rows),
        " ".join(said),
        *_measured(one),
        *_among_others(one),
    ]


def _chosen(one: Subject) -> str:
    """What was chosen on dev, in a sentence."""
    record, trials = one.record, one.trials
    chosen = [f"the epoch ({record.best_epoch} of {len(record.curve)})"] if len(record.curve) > 1 else []
    chosen += [f"the hyperparameters (the best of {trials} trials)"] if trials > 1 else []
    return f"Dev chose {' and '.join(chosen)}, so its figure leans high." if chosen else "Nothing was chosen on dev."


def _measured(one: Subject) -> list[str]:
    measures = one.judged.measures
    if measures is None:
        return []
    return [
        f"Other measures on test: F1 ({plain(measures.f1_of)}) {measures.f1:.3f}, Matthews correlation "
        f"{measures.mcc:.3f}, log loss {measures.log_loss:.3f} nats, expected calibration error {measures.ece:.3f} "
        "(15 bins)."
    ]


def _among_others(one: Subject) -> list[str]:
    """How the run stands in the command that it is part of, and how often its test labels were opened."""
    results, said = one.results, []
    if results is None or not results.test_openings:
        return []
    if isinstance(results, ComparisonRecord) and (row := one.row):
        entrants = sum(other.kind != "baseline" for other in results.table)
        place = "the winner" if row.name == results.winner else "one"
        chosen = "; test rows chose it among them, so its test figure may lean high" if place != "one" else ""
        said.append(f"It is {place} of a comparison of {entrants} configurations{chosen if entrants > 1 else ''}.")
        said += _over_seeds(row.test, len(row.runs))
        said += [f"{other.name[:1].upper()}{other.name[1:]} gets {other.test.accuracy:.1%} of test right." for other in
                 results.table if other.kind == "baseline" and other.test]  # fmt: skip
    elif isinstance(results, SearchRecord):
        said += _over_seeds(results.test, len(results.seeds))
        said.append(f"Always answering the most frequent class gets {results.majority['test']:.1%} of test right.")
    times = "once" if results.test_openings == 1 else f"{results.test_openings} times"
    return [" ".join([*said, f"The test labels were opened {times}."])]


def _over_seeds(score: Score | None, seeds: int) -> list[str]:
    if score is None or seeds < 2:
        return []
    return [f"Over its {seeds} seeds the configuration gets {score.accuracy:.1%} of test right ({_interval(score)})."]


def alarms(one: Subject) -> list[str]:
    """What makes the figures untrustworthy."""
    found = {(alarm.kind, alarm.what): alarm for alarm in (*one.record.alarms, *_of_results(one))}
    lines = [
        # What follows "such as" are rows of the data and their places.
        f"- **{alarm.kind}**: {plain(alarm.what.partition(', such as ')[0])}. Likely cause: {plain(alarm.cause)}."
        for alarm in found.values()
    ]
    return ["## Alarms", "\n".join(lines) if lines else "None was raised."]


def _of_results(one: Subject) -> list[Alarm]:
    return [*(one.row.alarms if one.row else []), *(one.results.alarms if one.results else [])]


def training(one: Subject) -> list[str]:
    """The method, what it trained, its settings and its price."""
    record = one.record
    settings = {**record.spec.method.config, **record.spec.train.model_dump(), **record.spec.compute.model_dump()}
    settings = {name: value for name, value in settings.items() if value is not None}
    parts = [(plain(part), f"{count:,}") for part, count in record.ledger.items()]
    share = record.trained_parameters / record.all_parameters
    return [
        "## Training",
        f"Method `{record.spec.method.name}`: {record.trained_parameters:,} of {record.all_parameters:,} parameters "
        f"are trained ({share:.2%}).",
        table(("part", "trained parameters"), parts),
        table(("setting", "value"), [(name.replace("_", " "), plain(_value(it))) for name, it in settings.items()]),
        f"It took {sum(row.seconds for row in record.curve):.1f} s, evaluation on dev included, and "
        f"{record.memory.peak / 1024**2:,.0f} MiB at the peak of a training step.",
    ]


def data(one: Subject) -> list[str]:
    """The rows, and how many of them lose tokens."""
    record = one.record
    cut = {name: f"{part.share:.1%}" for name, part in record.truncation.items()}
    rows = [(name, f"{count:,}", cut.get(name, "")) for name, count in record.rows.items()]
    columns = ", ".join(f"{role} from {code(name)}" for role, name in record.columns.items() if name)
    return [
        "## Data",
        f"{one.data}, SHA-256 `{record.provenance.data_hash}`" + (f"; {columns}." if columns else "."),
        table(("split", "rows", f"cut at {record.spec.model.max_length} tokens"), rows),
    ]


def limits(one: Subject) -> list[str]:
    """What must not be expected."""
    record, known = one.record, addresses.LICENSES.get(one.base or "")
    license_words = f"The base weights are under {known}; the" if known else "The licence of the base is not known; the"
    limits = [
        f"It has seen {record.rows['train']:,} training rows of one data set; the figures hold for rows like those.",
        f"It answers every text with {labels(record.labels)}, also where none of them fits.",
        f"It reads {record.spec.model.max_length} tokens at most; of longer texts the end is not seen.",
        "The languages of the data were not examined; do not expect it to work in others than those.",
        "It was trained with one seed; another seed gives somewhat other answers.",
        "What the base model learned in pretraining, its prejudices included, is still in it.",
        f"{license_words} data may set terms of its own.",
    ]
    return ["## Limits", "\n".join(f"- {limit}" for limit in limits)]


def provenance(one: Subject) -> list[str]:
    """With what it was made."""
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
    return ["## Provenance", table(("", ""), [(name, plain(value)) for name, value in told.items()])]


def _interval(score: Score) -> str:
    return f"{score.low:.1%} to {score.high:.1%}"


def _value(setting: Any) -> str:
    return ", ".join(map(str, setting)) if isinstance(setting, list | tuple) else str(setting)


def labels(names: Sequence[str]) -> str:
    """The answers, in words."""
    shown = [code(name) for name in names[:10]]
    return " or ".join(shown) if len(names) <= 10 else f"one of {len(names)} labels ({', '.join(shown)}, ...)"
