"""Parts that the page of a comparison and the page of a run have in common."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from welltuned.record import Alarm, Opening, Provenance, RunRecord
from welltuned.report import format, markup
from welltuned.report.gallery import Picture
from welltuned.report.markup import Column, Group, Markup, element

RECOMPUTE = """\
from pathlib import Path
from safetensors.numpy import load_file

for path in sorted(Path().rglob("predictions.safetensors")):
    stored = load_file(path)
    right = stored["dev.logits"].argmax(axis=1) == stored["dev.labels"]
    print(path.parent.name, f"{right.mean():.4f}")"""


@dataclass(frozen=True)
class Section:
    """A part of the page: its anchor, its heading and what stands under it."""

    anchor: str
    heading: str
    body: Markup
    style: str = "plain"

    def markup(self) -> Markup:
        """The part as a landmark that its heading names."""
        label = f"{self.anchor}-heading"
        heading = element("h2", self.heading, id=label)
        return element("section", heading, self.body, id=self.anchor, class_=self.style, aria_labelledby=label)


def alarms(found: Sequence[tuple[str, Alarm]]) -> list[Section]:
    """What makes a figure untrustworthy, or nothing at all where there is no alarm."""
    if not found:
        return []
    items = [
        markup.join(
            [
                element("strong", f"{name}: {alarm.what}"),
                f"Why it may be so: {alarm.cause}. ".replace("..", "."),
                f"How to mend it: {alarm.mend}.".replace("..", "."),
            ]
        )
        for name, alarm in found
    ]
    heading = "One alarm" if len(found) == 1 else f"{len(found)} alarms"
    return [Section("alarms", heading, markup.bullets(items), "alarms")]


def openings(times: int, seen: Sequence[Opening]) -> str:
    """How often the test labels were opened, and what for where that was more than once."""
    if times == 0:
        return "The test labels were not opened."
    if times == 1:
        return "The test labels were opened once."
    told = (
        f"The test labels were opened {times} times: what was chosen after the first look may have been chosen for "
        "these very rows."
    )
    each = [
        f"{one.when or 'at an unknown time'}, {one.purpose}{f' (in {one.folder})' if one.folder else ''}"
        for one in seen
    ]
    return f"{told} Openings: {'; '.join(each)}." if each else told


def pictures(shown: Sequence[tuple[Picture, bytes]], reading: str) -> list[Section]:
    """The figures with their captions, under a word on how to read them."""
    if not shown:
        return []
    drawn = [figure(picture, png, f"Figure {place}") for place, (picture, png) in enumerate(shown, start=1)]
    return [Section("figures", "Figures", markup.join([element("p", reading), *drawn]))]


def figure(picture: Picture, png: bytes, label: str = "Figure") -> Markup:
    """A drawn picture with its caption; too wide a one scrolls by itself, by keyboard too."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    image = element("img", src=source, alt=picture.alt)
    scroll = element("div", image, class_="scroll", role="region", tabindex="0", aria_label=label)
    caption = element("figcaption", element("strong", f"{label}."), " ", picture.caption)
    return element("figure", scroll, caption, id=f"figure-{picture.name}")


def ledger(runs: Sequence[tuple[str, RunRecord]]) -> list[Section]:
    """Trained parameters by part, of each named run, or nothing where there are no runs."""
    groups = [
        Group([[part, format.count(number)] for part, number in run.ledger.items()],
              f"{name}: {format.count(run.trained_parameters)} of {format.count(run.all_parameters)}")
        for name, run in runs
    ]  # fmt: skip
    if not groups:
        return []
    columns = [Column("part"), Column("parameters", numeric=True)]
    return [Section("ledger", "Trained parameters", markup.table("Trained parameters by part", columns, *groups))]


def notes(said: Sequence[str]) -> Markup:
    """What was said along the way, as a list, or nothing."""
    return markup.join([element("h3", "Notes"), markup.bullets(said)]) if said else Markup("")


def provenance(made: Provenance) -> Markup:
    """Machine, arithmetic, hashes and versions."""
    facts = [
        ("welltuned", made.welltuned),
        *sorted(made.versions.items()),
        ("Python", made.python),
        ("platform", made.platform),
        ("processor", made.processor),
        ("cores, threads used", f"{made.cores}, {made.threads}"),
        ("memory", format.size(made.memory_bytes)),
        ("device", made.device),
        ("precision", made.precision),
        ("data hash", markup.code(made.data_hash)),
        ("weights hash", markup.code(made.weights_hash)),
    ]
    return markup.pairs("Versions and hardware", facts)


def settings(config: Mapping[str, Any]) -> str:
    """A mapping in one line: ``rank 8, alpha 16``; nested keys are joined by dots."""
    return ", ".join(f"{name} {value}" for name, value in flat(config)) or "defaults"


def flat(config: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Names and values of a nested mapping, depth first; what was not set reads "not set"."""
    found: list[tuple[str, str]] = []
    for name, value in config.items():
        if isinstance(value, Mapping):
            found.extend(flat(value, f"{above}{name}."))
        else:
            found.append((f"{above}{name}", "not set" if value is None else str(value)))
    return found


def split_sizes(sizes: Mapping[str, int], shares: Mapping[str, Mapping[str, float]], labels: Sequence[str]) -> Markup:
    """Rows of each split and, where known, the share of each label."""
    shown = labels if shares else []
    columns = [Column("split"), Column("rows", numeric=True), *(Column(label, numeric=True) for label in shown)]
    lines = [
        [split, format.count(size), *(format.percent(shares.get(split, {}).get(label)) for label in shown)]
        for split, size in sizes.items()
    ]
    caption = "Rows of each split and share of each label" if shares else "Rows of each split"
    return markup.table(caption, columns, Group(lines))


def recompute() -> Markup:
    """How to get the accuracies from the stored logits, without a model."""
    return markup.join(
        [
            element("h3", "Recompute the figures"),
            element(
                "p",
                "Each run keeps its logits and dev labels in ", markup.code("predictions.safetensors"),
                ". These lines, run in the folder of this report, recompute every run’s dev accuracy:",
            ),
            markup.block(RECOMPUTE),
        ]
    )  # fmt: skip
