"""The question forms.

A form draws entities from one split and returns a :class:`Case`: the facts its passage must state, and for
each slot one question whose answer is yes and one whose answer is no. Both questions of a slot are built from
the same draw, whose entities are exchangeable: any of them could have taken any other's place with the same
probability. So the passage is drawn before the answer is, and every entity, value, limit and word of
comparison is as likely to be asked about in a yes-question as in a no-question. What decides is only how the
question and the passage fit together.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, pairwise

from welltuned.data.yesno.facts import Domain, Entity, Kind
from welltuned.data.yesno.wording import Scale, Wording, wording

TRIES = 60
MIN_RATIO = 1.3  # of two compared numbers
MIN_YEARS = 10  # between two compared years


@dataclass(frozen=True)
class Pool:
    """The entities of one domain in one split."""

    domain: Domain
    entities: tuple[Entity, ...]

    def wording(self, attribute: str) -> Wording:
        """How an attribute of this domain is said and asked."""
        return wording(self.domain.name)[attribute]


@dataclass(frozen=True)
class Fact:
    """What the table says about one attribute of one entity."""

    entity: Entity
    attribute: str


@dataclass(frozen=True)
class Case:
    """A passage to be written and the questions that can be asked of it.

    Attributes:
        facts: the facts that the passage must state.
        yes, no: [K] questions with that answer; a data set takes either ``yes[k]`` or ``no[k]``.
        absent: texts that must not occur in the passage.
    """

    facts: tuple[Fact, ...]
    yes: tuple[str, ...]
    no: tuple[str, ...]
    absent: tuple[str, ...] = ()


Draw = Callable[[Pool, random.Random], Case | None]


@dataclass(frozen=True)
class Form:
    """One production of the grammar.

    Attributes:
        name: the form, as reports call it.
        share: its part of the rows, relative to the other forms.
        draw: makes a case, or None where the pool holds no suitable entities.
    """

    name: str
    share: float
    draw: Draw


def fmt(value: float) -> str:
    """A number as passages and questions write it: at most ten digits, grouped by thousands."""
    return f"{value:,.10g}"


def values(entity: Entity, attribute: str, kind: Kind) -> tuple[str, ...]:
    """The values of an attribute as text: the members of a set, else one value."""
    if kind == "set":
        return entity.members(attribute)
    return (fmt(entity.number(attribute)),) if kind == "number" else (entity.text(attribute),)


def distinct(pool: Pool, rng: random.Random, count: int, *kinds: Kind) -> tuple[str, list[Entity], list[str]] | None:
    """An attribute of these kinds, entities that share no value of it, and one value of each."""
    attributes = pool.domain.attributes(*kinds)
    for _ in range(TRIES if attributes else 0):
        attribute = rng.choice(attributes)
        entities = rng.sample(pool.entities, count)
        sets = [values(entity, attribute, pool.domain.kinds[attribute]) for entity in entities]
        if all(set(one).isdisjoint(other) for one, other in combinations(sets, 2)):
            return attribute, entities, [rng.choice(one) for one in sets]
    return None


def partners(pool: Pool, rng: random.Random) -> tuple[str, list[Entity]] | None:
    """A text attribute, two entities in random order that share its value, and a third that does not."""
    for _ in range(TRIES):
        attribute = rng.choice(pool.domain.attributes("text"))
        one, other, third = rng.sample(pool.entities, 3)
        if one.text(attribute) == other.text(attribute) != third.text(attribute):
            return attribute, [one, other, third]
    return None


def apart(pool: Pool, rng: random.Random, count: int, kind: Kind) -> tuple[str, list[Entity]] | None:
    """A number or year attribute and entities, smallest value first, with clear gaps between them."""
    attributes = pool.domain.attributes(kind)
    for _ in range(TRIES if attributes else 0):
        attribute = rng.choice(attributes)
        entities = sorted(rng.sample(pool.entities, count), key=lambda entity: entity.number(attribute))
        numbers = [entity.number(attribute) for entity in entities]
        pairs = pairwise(numbers)
        if all(high - low >= MIN_YEARS if kind == "year" else high >= MIN_RATIO * low for low, high in pairs):
            return attribute, entities
    return None


def ask(pool: Pool, rng: random.Random, attribute: str, entity: Entity, value: str) -> str:
    """A question whether this is the entity's value."""
    return rng.choice(pool.wording(attribute).asks).format(e=entity.name, v=value)


def claim(pool: Pool, attribute: str, entity: Entity, value: str) -> str:
    """The clause that says so."""
    return pool.wording(attribute).claim.format(e=entity.name, v=value)


def facts(attribute: str, *entities: Entity) -> tuple[Fact, ...]:
    """The facts of one attribute of these entities."""
    return tuple(Fact(entity, attribute) for entity in entities)


def match(pool: Pool, rng: random.Random) -> Case | None:
    """A value that the passage states of the entity, or one that the passage does not contain."""
    drawn = distinct(pool, rng, 3, "text", "year")
    if drawn is None:
        return None
    attribute, (one, other, _), (mine, yours, absent) = drawn
    return Case(
        facts(attribute, one, other),
        yes=(ask(pool, rng, attribute, one, mine), ask(pool, rng, attribute, other, yours)),
        no=(ask(pool, rng, attribute, one, absent), ask(pool, rng, attribute, other, absent)),
        absent=(absent,),
    )


def swap(pool: Pool, rng: random.Random) -> Case | None:
    """A value that the passage states of the entity, or one that it states of another entity."""
    drawn = distinct(pool, rng, 2, "text", "year")
    if drawn is None:
        return None
    attribute, (one, other), (mine, yours) = drawn
    return Case(
        facts(attribute, one, other),
        yes=(ask(pool, rng, attribute, one, mine), ask(pool, rng, attribute, other, yours)),
        no=(ask(pool, rng, attribute, one, yours), ask(pool, rng, attribute, other, mine)),
    )


def membership(pool: Pool, rng: random.Random) -> Case | None:
    """A member of the entity's list, or one of a list that the passage does not contain."""
    drawn = distinct(pool, rng, 3, "set")
    if drawn is None:
        return None
    attribute, (one, other, _), (mine, yours, absent) = drawn
    return Case(
        facts(attribute, one, other),
        yes=(ask(pool, rng, attribute, one, mine), ask(pool, rng, attribute, other, yours)),
        no=(ask(pool, rng, attribute, one, absent), ask(pool, rng, attribute, other, absent)),
        absent=(absent,),
    )


def negation(pool: Pool, rng: random.Random) -> Case | None:
    """Whether a claim is false; the false claim's value does not occur in the passage."""
    drawn = distinct(pool, rng, 3, "text", "year", "set")
    if drawn is None:
        return None
    attribute, (one, other, _), (mine, yours, absent) = drawn
    false = "is it false that " if rng.random() < 0.5 else "is it wrong that "
    return Case(
        facts(attribute, one, other),
        yes=tuple(false + claim(pool, attribute, entity, absent) for entity in (one, other)),
        no=(
            false + claim(pool, attribute, one, mine),
            false + claim(pool, attribute, other, yours),
        ),
        absent=(absent,),
    )


def conjunction(pool: Pool, rng: random.Random) -> Case | None:
    """Two claims about one entity, of which one may be false."""
    first = distinct(pool, rng, 2, "text", "year", "set")
    if first is None:
        return None
    attribute, (one, other), (mine, absent) = first
    second = rng.choice([name for name in pool.domain.attributes("text", "year") if name != attribute])
    true = claim(pool, second, one, one.text(second))
    pair = [claim(pool, attribute, one, mine), true], [claim(pool, attribute, one, absent), true]
    if rng.random() < 0.5:
        pair = pair[0][::-1], pair[1][::-1]
    yes, no = ("is it true that " + " and that ".join(claims) for claims in pair)
    return Case((Fact(one, attribute), *facts(second, one, other)), (yes,), (no,), (absent,))


def disjunction(pool: Pool, rng: random.Random) -> Case | None:
    """Two values of which one, or neither, is the entity's."""
    drawn = distinct(pool, rng, 4, "text", "year")
    if drawn is None:
        return None
    attribute, (one, other, *_), (mine, _, absent, foreign) = drawn
    right, wrong = [mine, absent], [foreign, absent]
    rng.shuffle(right)
    rng.shuffle(wrong)
    yes, no = (ask(pool, rng, attribute, one, " or ".join(pair)) for pair in (right, wrong))
    return Case(facts(attribute, one, other), (yes,), (no,), (absent, foreign))


def contrast(pool: Pool, rng: random.Random) -> Case | None:
    """Which of two entities a value belongs to."""
    drawn = distinct(pool, rng, 2, "text")
    if drawn is None:
        return None
    attribute, (one, other), (mine, yours) = drawn
    noun = pool.wording(attribute).noun
    forms = ("is {v} the {n} of {e} rather than of {f}", "is it {e} and not {f} whose {n} is {v}")
    form = rng.choice(forms)
    yes, no = (form.format(e=one.name, f=other.name, v=value, n=noun) for value in (mine, yours))
    return Case(facts(attribute, one, other), (yes,), (no,))


def same(pool: Pool, rng: random.Random) -> Case | None:
    """Whether two entities share a value."""
    drawn = partners(pool, rng)
    if drawn is None:
        return None
    attribute, (one, other, third) = drawn
    noun = pool.wording(attribute).noun
    forms = ("do {e} and {f} have the same {n}", "is the {n} of {e} the same as that of {f}")
    form = rng.choice(forms)
    yes, no = (form.format(e=one.name, f=entity.name, n=noun) for entity in (other, third))
    return Case(facts(attribute, one, other, third), (yes,), (no,))


def both(pool: Pool, rng: random.Random) -> Case | None:
    """Whether a value belongs to both of two entities."""
    drawn = partners(pool, rng)
    if drawn is None:
        return None
    attribute, (one, other, third) = drawn
    value, noun = one.text(attribute), pool.wording(attribute).noun
    form = "is {v} the {n} of both {e} and {f}"
    yes, no = (form.format(e=one.name, f=entity.name, n=noun, v=value) for entity in (other, third))
    return Case(facts(attribute, one, other, third), (yes,), (no,))


def _scale(pool: Pool, attribute: str) -> Scale:
    scale = pool.wording(attribute).scale
    if scale is None:
        raise LookupError(f"{pool.domain.name}.{attribute} is ordered but has no scale")
    return scale


def _compare(pool: Pool, rng: random.Random, kind: Kind) -> Case | None:
    drawn = apart(pool, rng, 2, kind)
    if drawn is None:
        return None
    attribute, (low, high) = drawn
    scale = _scale(pool, attribute)
    greater = rng.random() < 0.5
    word = (scale.up if greater else scale.down)[0]
    first, second = (high, low) if greater else (low, high)
    return Case(
        facts(attribute, low, high),
        yes=(scale.than.format(e=first.name, c=word, f=second.name),),
        no=(scale.than.format(e=second.name, c=word, f=first.name),),
    )


def _limit(pool: Pool, rng: random.Random, kind: Kind) -> Case | None:
    drawn = apart(pool, rng, 2, kind)
    if drawn is None:
        return None
    attribute, (low, high) = drawn
    scale = _scale(pool, attribute)
    middle = (low.number(attribute) + high.number(attribute)) / 2
    limit = str(int(middle)) if kind == "year" else fmt(float(f"{middle:.2g}"))
    greater = rng.random() < 0.5
    word = (scale.up if greater else scale.down)[0]
    form = scale.limit or scale.than
    first, second = (high, low) if greater else (low, high)
    return Case(
        facts(attribute, low, high),
        yes=(form.format(e=first.name, c=word, f=limit),),
        no=(form.format(e=second.name, c=word, f=limit),),
    )


def _top(pool: Pool, rng: random.Random, kind: Kind) -> Case | None:
    drawn = apart(pool, rng, 3, kind)
    if drawn is None:
        return None
    attribute, (low, middle, high) = drawn
    scale = _scale(pool, attribute)
    greatest = rng.random() < 0.5
    word = (scale.up if greatest else scale.down)[1]
    right, wrong = (high, low) if greatest else (low, high)
    return Case(
        facts(attribute, low, middle, high),
        yes=(scale.top.format(e=right.name, s=word),),
        no=(scale.top.format(e=wrong.name, s=word),),
    )


def number_comparison(pool: Pool, rng: random.Random) -> Case | None:
    """Which of two numbers is greater."""
    return _compare(pool, rng, "number")


def date_order(pool: Pool, rng: random.Random) -> Case | None:
    """Which of two years came first."""
    return _compare(pool, rng, "year")


def number_limit(pool: Pool, rng: random.Random) -> Case | None:
    """Whether a number lies above or below a limit."""
    return _limit(pool, rng, "number")


def date_limit(pool: Pool, rng: random.Random) -> Case | None:
    """Whether a year came before or after another."""
    return _limit(pool, rng, "year")


def superlative(pool: Pool, rng: random.Random) -> Case | None:
    """Which of three numbers is the greatest or the smallest."""
    return _top(pool, rng, "number")


def first_last(pool: Pool, rng: random.Random) -> Case | None:
    """Which of three years came first or last."""
    return _top(pool, rng, "year")


FORMS: tuple[Form, ...] = (
    Form("match", 50, match),
    Form("membership", 18, membership),
    Form("conjunction", 7, conjunction),
    Form("negation", 6, negation),
    Form("disjunction", 5, disjunction),
    Form("swap", 6, swap),
    Form("contrast", 2, contrast),
    Form("number comparison", 1.5, number_comparison),
    Form("both", 1, both),
    Form("same", 1, same),
    Form("date order", 1, date_order),
    Form("date limit", 1, date_limit),
    Form("number limit", 1, number_limit),
    Form("superlative", 0.75, superlative),
    Form("first or last", 0.75, first_last),
)
