"""What a search lets one say: the choice in a sentence, and where the space may have been too small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from welltuned.methods._base import Choice
from welltuned.record import SearchRecord, SearchTrial
from welltuned.search.space import Space


def verdict(record: SearchRecord) -> str:
    """The chosen values, their dev and test accuracy, and how sure the choice is."""
    chosen, dev, test = record.winner, record.dev, record.test
    seen = sum(one.dev is not None for one in record.trials)  # what was given up was judged on dev too
    values = ", ".join(f"{name} {value:g}" if _is_number(value) else f"{name} {value}"
                       for name, value in chosen.values.items())  # fmt: skip
    learned = "" if dev.accuracy > record.majority["dev"] else ", no better than the majority class"
    sentence = (
        f"chosen on dev: {values}. dev {dev.accuracy:.1%} (the best of {seen}, so it leans high{learned}); "
        f"test {test.accuracy:.1%} [{test.low:.1%}, {test.high:.1%}], majority class {record.majority['test']:.1%}."
    )
    if not record.near:
        return sentence
    count = f"{len(record.near)} other trial{'s' if len(record.near) > 1 else ''}"
    return f"{sentence} {count} came within one standard error on dev: the choice among these is a matter of luck."


def edges(space: Space, chosen: SearchTrial, trials: Sequence[SearchTrial]) -> list[str]:
    """Where the best value tried is the last one of its list, so that a better one may lie beyond."""
    found = []
    for name, part in space.items():
        values = sorted({one.values[name] for one in trials if _is_number(one.values[name])})
        if not isinstance(part, Choice) or len(values) < 2 or chosen.values[name] not in (values[0], values[-1]):
            continue
        lowest = chosen.values[name] == values[0]
        if name == "epochs" and (lowest or max(chosen.best_epochs) < chosen.values[name]):
            continue
        side, beyond = ("smallest", "smaller") if lowest else ("largest", "larger")
        found.append(f"{name} {chosen.values[name]:g} is the {side} that was tried: a {beyond} one may be better")
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
