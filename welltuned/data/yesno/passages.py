"""Passages: the facts a case needs and others that distract, each in one sentence, in random order."""

from __future__ import annotations

import random
import re

from welltuned.data.yesno.grammar import Case, Fact, Pool, values

BARE_ARTICLE = re.compile(r"\ba (?=[AEIOaeio])")  # "a" before a vowel letter other than u
MIN_SENTENCES, MAX_SENTENCES = 4, 7
MIN_WORDS = 42  # and marks of punctuation; a passage is never fewer word pieces than that


def say(pool: Pool, rng: random.Random, fact: Fact) -> str:
    """One sentence that states this fact."""
    members = values(fact.entity, fact.attribute, pool.domain.kinds[fact.attribute])
    value = members[0] if len(members) == 1 else f"{', '.join(members[:-1])} and {members[-1]}"
    sentence = rng.choice(pool.wording(fact.attribute).says).format(e=fact.entity.name, v=value)
    return sentence[0].upper() + sentence[1:]


def articles(text: str) -> str:
    """The text with "a" turned into "an" before a vowel letter other than u."""
    return BARE_ARTICLE.sub("an ", text)


def distractors(pool: Pool, rng: random.Random, case: Case) -> list[Fact]:
    """Facts about the case's entities and one more, in random order, none of an attribute asked about."""
    asked = {fact.attribute for fact in case.facts}
    near = list(dict.fromkeys(fact.entity for fact in case.facts))
    far = rng.choice([entity for entity in pool.entities if entity not in near])
    others = [name for name in pool.domain.kinds if name not in asked]
    found = [Fact(entity, name) for entity in (*near, far) for name in others]
    rng.shuffle(found)
    return found


def write(pool: Pool, rng: random.Random, case: Case) -> str | None:
    """The passage of a case, or None where it would contain a text that must be absent."""
    wanted = max(rng.randint(MIN_SENTENCES, MAX_SENTENCES), len(case.facts) + 1)
    sentences = [say(pool, rng, fact) for fact in case.facts]
    if mentions(" ".join(sentences), case.absent):
        return None
    for fact in distractors(pool, rng, case):
        if len(sentences) >= wanted and count_words(" ".join(sentences)) >= MIN_WORDS:
            break
        sentence = say(pool, rng, fact)
        if not mentions(sentence, case.absent):
            sentences.append(sentence)
    rng.shuffle(sentences)
    return articles(" ".join(sentences))


def count_words(text: str) -> int:
    """The number of words and marks of punctuation."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def mentions(text: str, phrases: tuple[str, ...]) -> bool:
    """Whether one of these phrases occurs in the text as whole words, in any case."""
    lower = text.lower()
    return any(
        phrase.lower() in lower and re.search(rf"(?<!\w){re.escape(phrase.lower())}(?!\w)", lower) for phrase in phrases
    )
