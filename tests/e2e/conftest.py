"""The command line in this very process, and a small problem for it."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from welltuned.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def welltuned(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run a command line; ``stdin`` is what it reads there."""

    def run(*arguments: object, stdin: str = "") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        monkeypatch.setattr(sys, "argv", ["welltuned", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Outcome(int(left.value.code or 0), out, err)

    return run


def rows(n: int, seed: int = 0) -> list[dict[str, str]]:
    """Rows that a tiny model can tell apart: a passage of "a" words says yes, one of "b" words no."""
    random = np.random.default_rng(seed)
    found = []
    for i in range(n):
        yes = bool(random.random() < 0.6)
        words = random.choice(["red", "sun", "hot"] if yes else ["blue", "ice", "cold"], size=4)
        found.append(
            {"question": f"is it so {i}", "passage": f"{' '.join(words)} {i}", "answer": "yes" if yes else "no"}
        )
    return found


def write_csv(path: Path, table: list[dict[str, str]]) -> Path:
    """A table as UTF-8 csv."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    return path


@pytest.fixture(scope="session")
def problem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A csv file of 80 question-passage rows."""
    return write_csv(tmp_path_factory.mktemp("problem") / "rows.csv", rows(80))


@pytest.fixture(scope="session")
def bert(model_folder: Callable[[str], Path]) -> Path:
    """The folder of a tiny BERT."""
    return model_folder("bert")
