"""The data set ``builtin:yesno``: yes/no questions about passages, generated from tables of facts."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass

from welltuned.data.yesno.facts import load_domains, split_entities
from welltuned.data.yesno.grammar import FORMS, Form, Pool
from welltuned.data.yesno.passages import articles, write

ROWS = {"train": 6000, "dev": 1000, "test": 2000}
ENTITY_SHARES = {"train": 0.6, "dev": 0.16, "test": 0.24}
YES_SHARE = 0.62  # as in BoolQ

Surplus = defaultdict[str, float]  # rows with yes, less the expected share of rows, by word


@dataclass(frozen=True)
class Row:
    """One question about one passage.

    Attributes:
        question: in lower case, without the final question mark.
        passage: four to seven sentences that decide the answer.
        answer: True for yes.
        form: the question form it comes from.
        domain: the table it comes from.
    """

    question: str
    passage: str
    answer: bool
    form: str
    domain: str


def generate(seed: int = 0) -> dict[str, list[Row]]:
    """Rows of the splits "train", "dev" and "test"; the same seed gives the same rows everywhere.

    No entity is asked about, or told about, in two splits. Within each split and form the share of yes
    is 62%, rounded to a row.
    """
    rng = random.Random(seed)
    domains = load_domains()
    dealt = {domain.name: split_entities(domain, ENTITY_SHARES, rng) for domain in domains}
    return {
        split: _split_rows([Pool(domain, dealt[domain.name][split]) for domain in domains], count, rng)
        for split, count in ROWS.items()
    }


@dataclass
class Quota:
    """Rows of one form that are still to be made, by answer."""

    yes: int
    no: int

    @property
    def left(self) -> int:
        """Rows still to be made."""
        return self.yes + self.no

    def nearest(self, wish: bool) -> bool:
        """The wished answer, or the other one where the wished one is used up."""
        return wish if (self.yes if wish else self.no) else not wish

    def take(self, answer: bool) -> None:
        """Count one row with this answer."""
        if answer:
            self.yes -= 1
        else:
            self.no -= 1


def _split_rows(pools: list[Pool], count: int, rng: random.Random) -> list[Row]:
    rows: list[Row] = []
    surplus: Surplus = defaultdict(float)
    total, start, reached = sum(form.share for form in FORMS), 0, 0.0
    for form in FORMS:
        reached += form.share
        end = round(count * reached / total)
        yes = round(YES_SHARE * end) - round(YES_SHARE * start)
        rows += _form_rows(form, pools, Quota(yes, end - start - yes), surplus, rng)
        start = end
    rng.shuffle(rows)
    return rows


def _form_rows(form: Form, pools: list[Pool], quota: Quota, surplus: Surplus, rng: random.Random) -> list[Row]:
    rows: list[Row] = []
    seen: set[tuple[str, str]] = set()
    while quota.left:
        pool = rng.choice(pools)
        case = form.draw(pool, rng)
        passage = None if case is None else write(pool, rng, case)
        if case is None or passage is None:
            continue
        for pair in zip(case.yes, case.no, strict=True):
            yes, no = (articles(question).lower() for question in pair)
            answer = quota.nearest(_evens_out(surplus, yes, no, passage))
            question = yes if answer else no
            if not quota.left or (question, passage) in seen:
                continue
            seen.add((question, passage))
            quota.take(answer)
            for word in _words(question, passage):
                surplus[word] += answer - YES_SHARE
            rows.append(Row(question, passage, answer, form.name, pool.domain.name))
    return rows


def _words(question: str, passage: str) -> set[str]:
    """The words of a row; those of the question are told from those of the passage by a mark."""
    return {"?" + word for word in question.split()} | set(passage.split())


def _evens_out(surplus: Surplus, yes: str, no: str, passage: str) -> bool:
    """Whether yes, rather than no, leaves the smaller sum of squared surpluses.

    A row drawn by a coin would leave chance surpluses of yes beside many words, and a linear model learns them.
    """
    gain = YES_SHARE - 1  # of a row with the answer yes: (s + 1 - share)^2 - s^2 = (1 - share)(2s + 1 - share)
    rise = sum(gain * (gain - 2 * surplus[word]) for word in _words(yes, passage))
    fall = sum(YES_SHARE * (YES_SHARE - 2 * surplus[word]) for word in _words(no, passage))
    return rise < fall
