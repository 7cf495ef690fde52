from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from made_records import make_run, write_run

from welltuned.errors import DataError, ResourceError, UsageError
from welltuned.opening import write_manifest
from welltuned.pushing import UNREACHABLE, pack, push
from welltuned.record import write_bytes, write_json

TOKEN = "hf_very_secret"


class Hub:
    """Keeps what it is given; refuses with ``error`` if there is one."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.repositories: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.commits: list[str] = []

    def create_repo(self, repo_id: str, *, private: bool | None, exist_ok: bool) -> str:
        assert exist_ok
        if self.error is not None:
            raise self.error
        self.repositories[repo_id] = private
        return f"https://huggingface.co/{repo_id}"

    def create_commit(self, repo_id: str, operations: list[Any], *, commit_message: str) -> None:
        assert repo_id in self.repositories
        self.commits.append(commit_message)
        for one in operations:
            with one.as_file() as file:
                self.files[one.path_in_repo] = file.read()


class Response:
    """As much of an answer as an error needs."""

    headers: dict[str, str] = {}  # noqa: RUF012
    request = None

    def __init__(self, status: int) -> None:
        self.status_code = status


@pytest.fixture
def run(tmp_path: Path) -> Path:
    record = make_run()
    folder = tmp_path / "run"
    write_run(folder, record)
    write_json(folder / "model" / "config.json", {"model_type": "welltuned"})
    write_bytes(folder / "model" / "model.safetensors", b"weights")
    write_json(folder / "model" / "adapter" / "adapter_config.json", {"base_model_name_or_path": "ann/encoder"})
    write_manifest(folder / "model")
    write_bytes(folder / "model" / ".env", b"HF_TOKEN=hf_very_secret")
    (folder / "model" / "link.md").symlink_to(folder / "record.json")
    return folder


@pytest.fixture(autouse=True)
def logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def test_model_adapter_and_card_go_in_one_commit(run: Path) -> None:
    hub, parcel = Hub(), pack(run, "ann/yesno")
    assert push(parcel, hub, private=True) == "https://huggingface.co/ann/yesno"
    assert hub.repositories == {"ann/yesno": True}
    assert hub.commits == [f"Upload {make_run().name}"]
    assert hub.files.keys() == {
        "README.md",
        "config.json",
        "model.safetensors",
        "adapter/adapter_config.json",
        "manifest.json",
    }
    assert {name: len(content) for name, content in hub.files.items()} == parcel.sizes
    assert 'pipeline("text-classification", "ann/yesno")' in hub.files["README.md"].decode()
    assert not any(TOKEN.encode() in content for content in hub.files.values())
    assert 'pipeline("text-classification", ".")' in (run / "model" / "README.md").read_text()


def test_what_stands_on_the_hub_keeps_its_visibility(run: Path) -> None:
    hub = Hub()
    push(pack(run, "ann/yesno"), hub, private=False)
    assert hub.repositories == {"ann/yesno": None}


def test_a_card_that_was_edited_goes_as_it_is(run: Path) -> None:
    write_bytes(run / "model" / "README.md", "Ann's own words, für alle".encode())
    assert pack(run, "ann/yesno").card == "Ann's own words, für alle"


def test_a_base_model_of_this_machine_is_told(run: Path, tmp_path: Path) -> None:
    assert pack(run, "ann/yesno").warnings == []
    config = run / "model" / "adapter" / "adapter_config.json"
    write_json(config, {"base_model_name_or_path": str(tmp_path)})
    for name in (".env", "link.md"):
        (run / "model" / name).unlink()
    write_manifest(run / "model")
    (warning,) = pack(run, "ann/yesno").warnings
    assert str(tmp_path) in warning


@pytest.mark.parametrize("name", ["yesno", "ann/yes no", "ann/yes/no", "ann/--", ""])
def test_a_name_that_the_hub_does_not_allow(name: str, run: Path) -> None:
    with pytest.raises(UsageError, match="REPO_ID"):
        pack(run, name)


def test_a_folder_without_a_model(run: Path, tmp_path: Path) -> None:
    (run / "model" / "manifest.json").unlink()
    with pytest.raises(DataError, match="no model"):
        pack(run, "ann/yesno")
    with pytest.raises(DataError, match=r"no record\.json"):
        pack(tmp_path, "ann/yesno")


def test_a_damaged_model_is_not_uploaded(run: Path) -> None:
    write_bytes(run / "model" / "model.safetensors", b"weightx")
    with pytest.raises(DataError, match=r"model\.safetensors is not as it was written"):
        pack(run, "ann/yesno")
    (run / "model" / "config.json").unlink()
    with pytest.raises(DataError, match=r"config\.json is missing"):
        pack(run, "ann/yesno")


def test_nobody_logged_in(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("welltuned.pushing.get_token", lambda: None)
    with pytest.raises(ResourceError, match="hf auth login"):
        push(pack(run, "ann/yesno"), Hub(), private=False)


@pytest.mark.parametrize("error", [OfflineModeIsEnabled("offline mode"), UNREACHABLE[0]("Name not known"), OSError()])
def test_the_hub_out_of_reach(error: Exception, run: Path) -> None:
    with pytest.raises(ResourceError, match="the Hub cannot be reached") as told:
        push(pack(run, "ann/yesno"), Hub(error), private=False)
    assert told.value.exit_code == 4


@pytest.mark.parametrize(("status", "mend"), [(401, "write access"), (403, "write access"), (500, "try again later")])
def test_the_hub_refuses_and_the_token_is_not_told(status: int, mend: str, run: Path) -> None:
    error = HfHubHTTPError(f"refused Bearer {TOKEN}\nmore", response=Response(status))  # type: ignore[arg-type]
    with pytest.raises(ResourceError, match=mend) as told:
        push(pack(run, "ann/yesno"), Hub(error), private=False)
    assert f"HTTP {status}" in told.value.message
    assert TOKEN not in told.value.message
    assert told.value.__cause__ is None
    assert TOKEN not in json.dumps(vars(told.value))
