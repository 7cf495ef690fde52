"""The page as a whole: what stands in it, that nothing else is needed for it, and that nothing breaks out."""

import contextlib
import io
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from made_records import make_comparison, make_run, write_comparison, write_run

from welltuned import record as records
from welltuned import report
from welltuned.errors import DataError
from welltuned.report import render, sections
from welltuned.report.page import comparison_page

EVIL = "<script>alert('x')</script>\"><img src=x onerror=alert(1)> $title ${x} & 日本"


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of style."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.words, self.inside = [], [], []
        self.feed(content)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "link", "img", "br", "hr"}:
            self.inside.append(tag)

    def handle_endtag(self, tag):
        assert self.inside.pop() == tag

    def handle_data(self, data):
        if "style" not in self.inside:
            self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(folder):
    return page_at(render(folder))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """A comparison and a run, rendered once for the tests that only read."""
    comparison = write_comparison(tmp_path_factory.mktemp("comparison"), make_comparison())
    run = tmp_path_factory.mktemp("run")
    write_run(run, make_run())
    return {"comparison": render(comparison), "run": render(run)}


def page_at(path):
    page = Page(path.read_text(encoding="utf-8"))
    assert page.inside == []
    return page


def rewrite(folder, change):
    record = records.read_comparison(folder)
    change(record)
    records.write_json(folder / "results.json", record)


def test_comparison_says_everything(rendered, comparison):
    page = page_at(rendered["comparison"])
    for said in (
        comparison.verdict, "22,713,986", "72.4%", "70.3 to 74.4", "TF-IDF + logistic regression",
        "needs about 6.1 GiB", "+9.0", "<0.001", "full beats head by 9.0 points.", "One alarm",
        "raise --max-length to 384", comparison.notes[0], comparison.command, comparison.data_hash,
        "Example CPU (avx2)", "2.9.1", "opened once", "95% interval",
    ):  # fmt: skip
        assert said in page.text
    assert page.text.index(comparison.verdict) < page.text.index("22,713,986")
    assert page.text.index("One alarm", page.text.index("Reproduce")) < page.text.index("22,713,986")


def test_every_figure_is_on_disk_and_in_the_page(rendered):
    page = page_at(rendered["comparison"])
    drawn = {path.name for path in (rendered["comparison"].parent / "figures").iterdir()}
    assert drawn == {"accuracy.png", "differences.png", "cost.png", "curves.png", "memory.png"}
    images = page.all("img")
    assert len(images) == len(drawn)
    assert all(len(image["alt"]) > 40 for image in images)
    assert "lora on minilm: dev 72.2%, test 71.1%" in images[0]["alt"]


def test_run_says_everything(rendered):
    page = page_at(rendered["run"])
    for said in (
        "71.9% accuracy on dev at epoch",
        "148,226",
        "147,456",
        "10.8%",
        "2 min 51 s",
        "train.lr",
        "0.0005",
    ):
        assert said in page.text
    assert len(page.all("img")) == 2
    assert {path.name for path in (rendered["run"].parent / "figures").iterdir()} == {"curve.png", "memory.png"}


@pytest.mark.parametrize("kind", ["comparison", "run"])
def test_nothing_is_loaded_from_anywhere(kind, rendered):
    page = page_at(rendered[kind])
    content = rendered[kind].read_text()
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action", "data", "poster", "background"):
            if name in attributes:
                assert attributes[name].startswith(("data:", "#"))
        assert not any(name.startswith("on") for name in attributes)
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "base", "form"}
    style = re.search(r"<style>(.*?)</style>", content, re.DOTALL).group(1)
    assert "url(" not in style
    assert "@import" not in style
    assert "http" not in style
    assert "default-src 'none'" in content


@pytest.mark.parametrize("kind", ["comparison", "run"])
def test_page_can_be_walked_without_sight_or_mouse(kind, rendered):
    page = page_at(rendered[kind])
    assert page.all("html")[0]["lang"] == "en"
    assert len(page.all("h1")) == len(page.all("main")) == len(page.all("nav")) == 1
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in page.all("a")} <= set(ids)
    assert {section["aria-labelledby"] for section in page.all("section")} <= set(ids)
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(head["scope"] in {"col", "row", "rowgroup"} for head in page.all("th"))
    assert all(area["tabindex"] == "0" and area["aria-label"] for area in page.all("div"))


def test_page_has_dark_narrow_and_print_forms(rendered):
    content = rendered["comparison"].read_text()
    for query in ("prefers-color-scheme: dark", "max-width", "@media print", 'name="viewport"'):
        assert query in content


def test_rendering_twice_gives_the_same_bytes_wherever_the_folder_lies(folder, tmp_path):
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    first = {path.name: path.read_bytes() for path in [render(folder), *(folder / "figures").iterdir()]}
    again = {path.name: path.read_bytes() for path in [render(elsewhere), *(elsewhere / "figures").iterdir()]}
    assert first == again
    assert str(tmp_path).encode() not in first["report.html"]


def test_hostile_texts_stay_texts(folder):
    def spoil(record):
        record.verdict = record.data = record.command = record.budget = record.data_hash = EVIL
        record.labels, record.notes = [EVIL, "yes"], [EVIL]
        record.class_shares = {split: {EVIL: 0.4, "yes": 0.6} for split in record.rows} | {EVIL: {EVIL: 1.0}}
        record.rows[EVIL] = 3
        for row in record.table:
            row.name, row.method, row.model, row.config = EVIL + row.name, EVIL, EVIL, {EVIL: EVIL}
            row.failure = EVIL if row.kind == "failed" else None
        for alarm in record.table[2].alarms:
            alarm.what = alarm.cause = alarm.mend = EVIL
        for one in record.statements:
            one.a = one.b = one.scope = one.sentence = EVIL
        record.provenance.processor = EVIL
        record.provenance.versions[EVIL] = EVIL

    rewrite(folder, spoil)
    page = page_of(folder)
    assert not page.all("script")
    assert len(page.all("img")) == 5
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert page.text.count(EVIL) > 20


def test_hostile_run_stays_text(run_folder):
    run = records.read_run(run_folder)
    run.name, run.labels, run.notes, run.ledger = EVIL, [EVIL], [EVIL], {EVIL: 3}
    run.alarms = [records.Alarm(kind=EVIL, what=EVIL, cause=EVIL, mend=EVIL)]
    records.write_json(run_folder / "record.json", run)
    page = page_of(run_folder)
    assert not page.all("script")
    assert len(page.all("img")) == 2
    assert page.text.count(EVIL) > 5


def test_comparison_without_runs_still_renders(folder):
    shutil.rmtree(folder / "runs")
    assert len(page_of(folder).all("img")) == 3


def test_comparison_of_failures_alone_still_renders(folder):
    def keep_failures(record):
        record.table = [row for row in record.table if row.kind == "failed"]
        record.statements, record.notes, record.class_shares, record.test_openings = [], [], {}, 0

    rewrite(folder, keep_failures)
    page = page_of(folder)
    assert page.all("img") == []
    assert "needs about 6.1 GiB" in page.text
    assert "The test labels were not opened" in page.text
    assert "alarm" not in page.text


def test_empty_comparison_still_renders(folder):
    def empty(record):
        record.table, record.statements = [], []

    rewrite(folder, empty)
    assert "The comparison holds no rows." in page_of(folder).text


def test_a_second_look_at_the_test_labels_is_told(comparison):
    comparison.test_openings = 2
    assert "The test labels were opened 2 times" in Page(comparison_page(comparison, {}, [])).text


def test_run_without_epochs_or_predictions_still_renders(run_folder):
    run = records.read_run(run_folder)
    run.curve, run.best_epoch = [], 0
    records.write_json(run_folder / "record.json", run)
    (run_folder / "predictions.safetensors").unlink()
    page = page_of(run_folder)
    assert "No epoch was finished" in page.text
    assert len(page.all("img")) == 1


def test_a_run_tells_what_its_steps_used_of_the_machine(run_folder):
    assert "steps used" not in page_of(run_folder).text
    run = records.read_run(run_folder)
    run.utilisation = records.Utilisation(flop=104_000_000_000_000, seconds=200, ceiling=1e12)
    records.write_json(run_folder / "record.json", run)
    text = page_of(run_folder).text
    assert "52% of what the machine's matrix products allow" in text
    assert "need 1.04e+14 FLOP on tokens without padding and took 200 s" in text


def test_runs_outside_the_folder_are_not_read(folder, run_folder):
    def point_outside(record):
        record.table[0].runs = [f"../../{run_folder.name}"]

    rewrite(folder, point_outside)
    assert (folder / "runs" / f"../../{run_folder.name}" / "record.json").is_file()
    assert "full on minilm: best dev accuracy" not in page_of(folder).all("img")[3]["alt"]


def test_nothing_found(tmp_path):
    with pytest.raises(DataError, match=r"results\.json nor record\.json"):
        render(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        render(tmp_path / "nowhere")


def test_damaged_record_is_refused_and_leaves_the_old_report(run_folder):
    before = render(run_folder).read_bytes()
    (run_folder / "record.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        render(run_folder)
    assert (run_folder / "report.html").read_bytes() == before


def test_the_printed_recomputation_is_right(rendered, monkeypatch):
    assert sections.RECOMPUTE.splitlines()[0] in page_at(rendered["comparison"]).text
    monkeypatch.chdir(rendered["comparison"].parent)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(sections.RECOMPUTE, {})  # the very lines that the page shows
    names = sorted(path.name for path in Path("runs").iterdir())
    assert out.getvalue().splitlines() == [f"{name} 0.7500" for name in names]


def test_torch_is_never_needed(folder):
    code = (
        "import sys, pathlib, welltuned.report, welltuned.report.terminal\n"
        f"welltuned.report.render(pathlib.Path({str(folder)!r}))\n"
        "sys.exit(', '.join({'torch', 'transformers', 'matplotlib.pyplot'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_parts_are_those_of_the_page_and_nothing_is_written(comparison, tmp_path):
    folder = write_comparison(tmp_path, comparison)
    before = sorted(folder.rglob("*"))
    found = report.parts(folder)
    assert sorted(folder.rglob("*")) == before
    page = report.render(folder).read_text(encoding="utf-8")
    assert all(part.markup() in page for part in found)
    assert {"results", "differences", "figures", "ledger"} <= {part.anchor for part in found}


def test_the_ledger_tells_the_parts_of_each_configuration(comparison, runs):
    page = comparison_page(comparison, runs, [])
    assert "lora on minilm: 148,226 of 22,713,986" in page
    assert page.count("Trained parameters by part") >= 1


def test_a_damaged_run_is_left_out_of_the_parts_and_stops_a_rendering(comparison, tmp_path):
    folder = write_comparison(tmp_path, comparison)
    (folder / "runs" / make_run("full").name / "record.json").write_text("{")
    assert "results" in {part.anchor for part in report.parts(folder)}
    with pytest.raises(DataError):
        report.render(folder)
