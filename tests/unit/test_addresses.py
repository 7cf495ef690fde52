from __future__ import annotations

from pathlib import Path

import pytest

from welltuned.addresses import ALIASES, LICENSES, PACKAGED_FROM, address, hub_id
from welltuned.data import sources


def test_short_names_mean_hub_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert hub_id("minilm") == address("minilm") == "sentence-transformers/all-MiniLM-L6-v2"
    assert hub_id("distilbert") == "distilbert/distilbert-base-uncased"
    assert hub_id("ann/encoder") == "ann/encoder"
    assert LICENSES.keys() == {*ALIASES.values(), *PACKAGED_FROM.values()}


def test_a_folder_has_no_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("runs/one", "bert", "minilm"):
        Path(name).mkdir(parents=True)
    assert hub_id("runs/one") is None
    assert hub_id("bert") is None
    assert hub_id("minilm") is not None  # the packaged model comes before any folder
    for name in (str(tmp_path / "gone"), "./gone", "~/gone", "a/b/model"):
        assert hub_id(name) is None


def test_a_data_source_and_its_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows").mkdir()
    assert sources.hub_id("boolq") == "google/boolq"
    assert sources.hub_id("ann/letters:short") == "ann/letters"
    for source in ("rows", "builtin:yesno", "letters.csv", "/data/letters", "a/b/c"):
        assert sources.hub_id(source) is None
