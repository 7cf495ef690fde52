"""The experiments as the command makes them: numbers from flags and files, findings, and refusals."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from welltuned.attention import experiments, numbers
from welltuned.attention.experiments import _base, _words
from welltuned.attention.experiments._base import Finding
from welltuned.errors import UsageError

quick = settings(deadline=None, max_examples=40)
small = st.integers(-9, 9) | st.floats(-9, 9).filter(lambda x: x == 0 or abs(x) > 1e-3)
rows = st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(small, min_size=n, max_size=n), min_size=1, max_size=4))
TABLES = ("weights", "copying", "estimators")
QUICK = {"retrieval": "--steps 2 --seeds 0", "copying": "--sizes 2,3 --trials 1", "averaging": "--sizes 2,3"}


def no_encoders(name: str, length: int) -> tuple[None, None]:
    raise AssertionError("this experiment needs no model")


def run(name: str, flags: str = "", encoders: _base.Encoders = no_encoders) -> Finding:
    kind = experiments.find(name)
    made = _base.made(kind, numbers.from_flags(kind, flags.split()))
    return _base.found(made, encoders, name)


def test_there_is_an_experiment_for_every_demonstration():
    folder = Path(experiments.__file__).parents[1]
    helpers = {"__init__", "drawing", "lookup", "numbers", "result"}
    assert set(experiments.names()) == {path.stem for path in folder.glob("*.py")} - helpers


@pytest.mark.parametrize("name", experiments.names())
def test_every_experiment_says_what_it_shows_and_what_it_takes(name):
    kind = experiments.find(name)
    assert re.fullmatch(r"[A-Z].{30,110}\.", (kind.__doc__ or "").splitlines()[0])
    for field, entry in numbers.entries(kind).items():
        assert entry.about, field


@pytest.mark.parametrize("name", [name for name in experiments.names() if name != "maps"])
def test_every_experiment_runs_on_its_defaults_and_its_results_are_json(name):
    finding = run(name, QUICK.get(name, ""))
    json.dumps(finding.results, allow_nan=False)
    assert finding.lines
    assert name in finding.figures
    for draw in finding.figures.values():
        assert draw().axes


@pytest.mark.parametrize("name", experiments.names())
def test_the_numbers_an_experiment_reports_make_the_same_experiment(name):
    kind = experiments.find(name)
    made = kind()
    told = json.loads(json.dumps(made.to_dict()))
    assert _base.made(kind, {key: (value, key) for key, value in told.items()}) == made


@quick
@given(rows)
def test_a_flag_and_a_file_say_the_same(matrix):
    kind = experiments.find("weights")
    written = numbers.written(tuple(map(tuple, matrix)))
    if len(matrix) == 1:
        written = json.dumps(matrix)  # without a semicolon it would be a vector
    flag = numbers.checked(kind, numbers.from_flags(kind, [f"--keys={written}"]))["keys"]
    file = numbers.checked(kind, {"keys": (matrix, "mine.json: keys")})["keys"]
    for one, other in zip(flag, file, strict=True):
        assert one == pytest.approx(other, rel=1e-5)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_one_s_own_is_used(name):
    quiet = QUICK.get(name, "")
    own = run(name, f"--query=1,0 --keys 2,0;0,2 --values 5;7 {'--target 1' if name == 'estimators' else ''} {quiet}")
    found = own.results.get("own", own.results)
    assert found["lookup"]["values"] == [[5], [7]]


@pytest.mark.parametrize(
    ("name", "flags", "said"),
    [
        ("copying", "--eps 100", "needs no margin"),
        ("copying", "--target 3", "does not lead"),
        ("copying", "--temperature 0.1", "which it has"),
        ("weights", "--query 0,0,0", "all keys tie"),
        ("weights", "--query 1 --keys [[1],[1],[0]] --values [[1],[2],[3]]", "2 keys tie and lead by 1"),
        ("weights", "--query 1 --keys [[1]] --values [[3]]", "no other key"),
        ("estimators", "--query 0,0,0 --draws 2", "tie"),
        ("averaging", "--keys 1,0;1,0;1,0;0,1", "linearly dependent"),
        ("averaging", "--keys 1,0;0,1 --values 5;7", "takes no c at all"),
        ("averaging", "--scaled", "divided by 2"),
        ("averaging", "--keys 2,0,0;0,1,0;0,0,1 --values 1;2;3", "balanced query"),
        ("extracting", "--v-b 1,0,0,7 --b 1,0,0,7", "not orthogonal to the b's"),
        ("extracting", "--share 0.25", "4 sum aa'"),
        ("extracting", "--a 1,0,0,0;0,1,0,0;0,0,1,0 --v-b 0,0,0,7", "orthonormal"),
    ],
)
def test_what_a_reader_has_to_know_is_said(name, flags, said):
    assert said in "\n".join(run(name, f"{flags} {QUICK.get(name, '')}").lines)


@pytest.mark.parametrize(
    ("name", "flags", "said"),
    [
        ("weights", "--query 1,x", r"--query\[1\]: expected a number, got 'x'\n  mend:"),
        ("weights", "--query 1,inf", r"--query\[1\]: the number is too large"),
        ("weights", "--keys 1,2;3", r"--keys: row 1 has 1 numbers, row 0 has 2\n  mend:"),
        ("weights", "--keys {}", r"--keys\[0\]\[0\]: expected a number"),
        ("weights", "--keys [1,2", r"--keys: expected a list of rows, got '\[1,2'\n  mend:"),
        ("weights", "--query 1,2", r"weights: query, keys and values: the query has 2 .*\n  why: .*\n  mend:"),
        ("weights", "--temperature -1", "--temperature: -1 is too small\n  mend: give 0 or more"),
        ("weights", "--temprature 1", "did you mean --temperature"),
        ("weights", "--temperature", "--temperature: the value is missing\n  mend: write --temperature X"),
        ("weights", "stray", "'stray' is not known here\n  mend: known are --query"),
        ("copying", "--eps 0", "--eps: 0 is too small\n  mend: give more than 0"),
        ("copying", "--target 4", "copying: there is no value 4\n  mend: give 0 to 3"),
        ("copying", "--target 1.5", "--target: expected a whole number, got 1.5\n  mend:"),
        ("copying", "--sizes 1,5", r"--sizes\[0\]: 1 is out of range\n  mend: give 2 to 100000"),
        ("averaging", "--pair 0,1,2", "--pair: expected 2 numbers, got 3\n  mend:"),
        ("averaging", "--pair 0,0", "--pair: the same number twice\n  mend:"),
        ("averaging", "--pair 0,9", "averaging: 0 and 9 are not two rows\n  mend:"),
        ("averaging", "--scaled=perhaps", "--scaled: expected true or false, got 'perhaps'\n  mend:"),
        ("averaging", "--values 1;2", "averaging: keys and values: there are 4 keys and 2 values\n  mend:"),
        ("averaging", "--sizes 99", "averaging: sizes: sizes must lie between 2 and the width 64"),
        ("extracting", "--v-a 1,2,3", "a, b, v_a and v_b: the vectors differ in length\n  why: .*v_a 3.*\n  mend:"),
        ("extracting", "--v-a 1,1,1,1", "extracting: v_a is no combination .*\n  why: .*\n  mend:"),
        ("extracting", "--rank 9", "rank: two subspaces of rank 9 do not fit"),
        ("estimators", "--target 9", "estimators: target: there is no value 9\n  mend:"),
        ("retrieval", "--seeds 0,0", "--seeds: the same number twice"),
        ("copying", "--sizes 1000000000", r"--sizes\[0\]: 1000000000 is out of range\n  mend: give 2 to 100000"),
        ("copying", "--eps 1e-320", "--eps: the number is too large or too close to 0\n  why: .*\n  mend:"),
        ("averaging", "--keys 1e200,0;0,1", r"--keys\[0\]\[0\]: the number is too large"),
        ("retrieval", "--lr 1e9", "--lr: 1000000000.0 is too large\n  mend: give 100 or less"),
        ("retrieval", "--seeds 99999999999999999999", r"--seeds\[0\]: .* is out of range"),
        ("extracting", "--share 2", "--share: 2 is too large\n  mend: give 1 or less"),
        ("extracting", "--v-b 0,0,0,0", "v_b: v_b is 0\n  mend: give b too"),
        ("maps", "--question=", "maps: question: the question is empty\n  mend:"),
        ("maps", "--heads 1", r"--heads\[0\]: expected two numbers, got 1\n  mend:"),
    ],
)
def test_wrong_numbers_are_answered_with_what_where_and_how_to_mend_it(name, flags, said):
    with pytest.raises(UsageError) as refused:
        run(name, flags)
    assert re.search(said, str(refused.value)), str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{\n\n oops}", "mine.json:3: this is not JSON"),
        ("[1, 2]", "must hold one JSON object"),
        (
            '{"tempreature": 1}',
            "mine.json: tempreature: 'tempreature' is not known here\n  mend: did you mean temperat",
        ),
        ('{"query": null}', "mine.json: query: expected a list of numbers, got None"),
        ('{"query": [true]}', r"mine.json: query\[0\]: expected a number, got True"),
        ('{"query": [1' + "0" * 400 + "]}", r"mine.json: query\[0\]: the number is too large"),
    ],
)
def test_files_that_do_not_fit_are_refused_with_their_place(tmp_path, monkeypatch, text, said):
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text(text)
    with pytest.raises(UsageError, match=said):
        numbers.checked(experiments.find("weights"), numbers.from_file(Path("mine.json")))
    with pytest.raises(UsageError, match=r"none\.json: the file cannot be read"):
        numbers.from_file(Path("none.json"))


def test_an_unknown_experiment_names_its_like():
    with pytest.raises(UsageError, match="did you mean weights"):
        experiments.find("wieghts")


def test_a_new_file_is_a_new_experiment(tmp_path, monkeypatch):
    (tmp_path / "one.py").write_text(
        "from dataclasses import dataclass\n"
        "from welltuned.attention import numbers\n"
        "from welltuned.attention.experiments._base import Experiment, Finding\n"
        "@dataclass(frozen=True)\n"
        "class One(Experiment):\n"
        "    '''One.'''\n"
        "    x: float = numbers.number(1.0, 'a number')\n"
        "    def run(self, encoders):\n"
        "        return Finding({'x': self.x}, [])\n"
    )
    (tmp_path / "none.py").write_text("")
    monkeypatch.setattr(experiments, "__path__", [*experiments.__path__, str(tmp_path)])
    assert "one" in experiments.names()
    assert run("one", "--x 3").results == {"x": 3}
    with pytest.raises(UsageError, match="holds 0 instead of one"):
        experiments.find("none")


@quick
@given(st.lists(st.tuples(st.text("ab", max_size=5), st.integers(-999, 999)), min_size=1, max_size=5))
def test_columns_stand_under_their_heads(body):
    lines = _words.table(("word", "number"), body).splitlines()
    assert len(lines) == len(body) + 1
    assert {len(line) for line in lines} == {max(map(len, lines))}


@pytest.mark.parametrize(
    ("x", "said"), [(0.0, "0"), (1e-13, "<1e-12"), (-1e-13, "<1e-12"), (1 / 3, "0.3333"), (float("inf"), "inf")]
)
def test_numbers_are_said_in_four_digits_and_dust_is_bounded(x, said):
    assert _words.number(x) == said
    assert _words.vector([3.0, x * 1e-3 if x < 1e-9 else 0.0]) == "(3, 0)"
