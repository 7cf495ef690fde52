"""What is killed goes on, what is damaged is found, what does not fit the disk is told: tried again and again.

    python benchmarks/soak.py [--kills 200] [--seed 0]

Commands train tiny random models. Each is run once in peace; then again and again in fresh folders, killed with SIGKILL
at a random moment (and perhaps once more), run again until it is done, and what it left is held against the peaceful
run: SHA-256 over weights, answers, labels and records without times. Further runs are killed before and after single
calls of fsync and rename, and in the middle of writing tensors; meet a limit on the size of files; or find every file
of a checkpoint flipped, cut and deleted. Reports are not drawn. Writes benchmarks/results/soak.json, and the figures
of docs/reliability.md from it.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib
import json
import os
import pkgutil
import platform
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "soak.json"
PAGE = ROOT / "docs" / "reliability.md"
MARKERS = ("<!-- soak -->", "<!-- /soak -->")
SIZES = {"train": 48, "dev": 16, "test": 16}
COMMON = ("--max-length", "24", "--batch-size", "8", "--device", "cpu", "--precision", "fp32")
TRAIN = ("--epochs", "3", "--save-steps", "2", *COMMON)
TIMES = ("seconds", "timings", "utilisation", "when", "openings", "budget")
"""Fields of records that tell of time; two peaceful runs differ in them too."""


@dataclass(frozen=True)
class Subject:
    """A command in a folder of its own, its results in ``out``."""

    name: str
    arguments: tuple[str, ...]


def subjects(data: Path, model: Path) -> list[Subject]:
    """What is killed: each method, a search, a comparison and a pretraining."""
    at = (str(data), "--model", str(model), "--out", "out")
    method = {"full": "full", "head": "head", "prefix": "prefix:length=4", "lora": "lora:rank=2"}
    found = [Subject(name, ("train", *at, *TRAIN, "--method", told)) for name, told in method.items()]
    drawn = ("--method", "lora:rank=2", "--range", "lr=1e-4..1e-2", "--sampler", "tpe", "--trials", "3")
    found.append(Subject("search", ("search", *at, *TRAIN, *drawn)))
    found.append(Subject("compare", ("compare", *at, *TRAIN, "--methods", "head,lora:rank=2", "--seeds", "0,1")))
    shape = ("--shape", "bert:layers=1:hidden=32:heads=2", "--vocab-size", "90", "--held-out", "0.2")
    steps = ("--steps", "12", "--eval-every", "4", "--head-steps", "3", "--save-steps", "2", *COMMON)
    found.append(Subject("pretrain", ("pretrain", str(data), "--out", "out", *shape, *steps)))
    return found


@dataclass
class Attempt:
    """How one process ended: its exit code, or None where it was killed; and what it said."""

    code: int | None
    said: str
    seconds: float
    points: int = 0


def preload() -> None:
    """Import everything that commands import, so that a forked process begins at once."""
    import torch

    torch.set_num_threads(1)
    import welltuned
    from welltuned.report import render  # noqa: F401

    for module in pkgutil.walk_packages(welltuned.__path__, "welltuned."):
        if not module.name.startswith(("welltuned.__main__", "welltuned.attention", "welltuned.cli.commands.")):
            with suppress(ImportError):
                importlib.import_module(module.name)


def attempt(
    subject: Subject,
    folder: Path,
    *,
    kill_after: float | None = None,
    point: int | None = None,
    limit: int | None = None,
) -> Attempt:
    """Run a command in a forked process.

    Args:
        kill_after: seconds until SIGKILL.
        point: the process kills itself at the point of this number (see :func:`_count_points`); -1 only counts.
        limit: bytes that no file may exceed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counted, (heard, said) = folder / "points.txt", os.pipe()
    fcntl.fcntl(said, fcntl.F_SETPIPE_SZ, 1 << 20)  # more than any command says
    started = time.perf_counter()
    child = os.fork()
    if not child:
        _become(subject, folder, said, point, counted, limit)
    os.close(said)
    if kill_after is not None:
        _kill_after(child, kill_after)
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    points = int(counted.read_text()) if counted.exists() and not killed else 0
    counted.unlink(missing_ok=True)
    with os.fdopen(heard, errors="replace") as pipe:
        text = pipe.read()
    return Attempt(None if killed else os.WEXITSTATUS(status), text, time.perf_counter() - started, points)


def _kill_after(child: int, seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.002)
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def _become(subject: Subject, folder: Path, said: int, point: int | None, counted: Path, limit: int | None) -> None:
    """The forked process: the command as its user would type it, without drawing a report."""
    code = 99
    try:
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.chdir(folder)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")  # what is kept there is killed in mid-write too
        sys.argv = ["welltuned", *subject.arguments]
        _draw_nothing()
        points = _count_points(point) if point is not None else None
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        from welltuned.cli import _run

        code = _run(list(subject.arguments))
        sys.stdout.flush()
        if points is not None:
            counted.write_text(str(points()))
    finally:
        os._exit(code)


def _draw_nothing() -> None:
    from welltuned import report
    from welltuned.report import pretraining

    report.render = lambda folder: folder / "report.html"
    pretraining.draw = lambda folder, _: folder / "figure.png"


def _count_points(fatal: int) -> Callable[[], int]:
    """Count every fsync, rename and checkpoint's tensors; die at one of them, each being a point before and after.

    The tensors are cut to half in between.
    """
    from welltuned.checkpoints import store

    done = [0]

    def here() -> None:
        done[0] += 1
        if done[0] == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(real: Callable[..., Any], torn: bool = False) -> Callable[..., Any]:
        def called(*arguments: Any, **rest: Any) -> Any:
            here()
            found = real(*arguments, **rest)
            if torn and done[0] + 1 == fatal:
                os.truncate(arguments[1], Path(arguments[1]).stat().st_size // 2)
            here()
            return found

        return called

    os.fsync, os.replace, os.rename = (watched(one) for one in (os.fsync, os.replace, os.rename))
    store.save_file = watched(store.save_file, torn=True)
    return lambda: done[0]


def digest(out: Path) -> dict[str, str]:
    """SHA-256 of what a run left: weights, answers and labels as they are, records without times."""
    found = {}
    for path in sorted(out.rglob("*")):
        name = path.relative_to(out).as_posix()
        if path.suffix == ".safetensors" or ("/model/" in f"/{name}" and path.suffix == ".json"):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.name in ("record.json", "results.json", "spec.json"):
            told = json.dumps(_timeless(json.loads(path.read_bytes())), sort_keys=True)
            found[name] = hashlib.sha256(told.encode()).hexdigest()
    return found


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _timeless(one) for name, one in value.items() if name not in TIMES}
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def drafts(folder: Path) -> list[str]:
    """What a kill inside a write leaves: half-written files and folders, under names that nobody reads."""
    hidden = (path.name for path in folder.rglob(".*"))
    return [name for name in hidden if not name.startswith(".lock")]


def leftovers(out: Path) -> list[str]:
    """Drafts and checkpoints that should be gone once a run is done."""
    return [path.name for path in out.rglob("*") if path.name.startswith(".") or path.name == "checkpoint"]


@dataclass
class Count:
    """Of one kind of trial; ``drafts`` counts kills that left something half-written."""

    kills: int = 0
    resumed: int = 0
    equal: int = 0
    runs: int = 0
    drafts: int = 0
    went_on_from_checkpoints: int = 0
    faults: list[str] = field(default_factory=list)

    def judge(self, name: str, kills: int, last: Attempt, out: Path, expected: dict[str, str]) -> None:
        """What became of a trial whose command was killed so often and then run to its end."""
        self.kills += kills
        self.runs += 1
        self.went_on_from_checkpoints += "goes on from the checkpoint" in last.said
        if last.code == 0:
            self.resumed += kills
        found = digest(out)
        if last.code == 0 and found == expected and not leftovers(out):
            self.equal += kills
        else:
            odd = [one for one in {*found, *expected} if found.get(one) != expected.get(one)]
            self.faults.append(f"{name}: code {last.code}, differs in {odd[:5]}, left {leftovers(out)[:5]}")


class Soak:
    """All trials on one set of commands.

    Args:
        folder: for everything that is written.
        seed: of the moments.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.random = folder, random.Random(seed)
        data, model = folder / "data", folder / "model"
        data.mkdir()
        from families import FAMILIES, write_examples, write_model

        if not os.fork():  # in a process of its own, so that this one has computed nothing when it forks
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            write_model(FAMILIES["bert"], model)
            os._exit(0)
        os.wait()
        write_examples(data, SIZES)
        self.subjects = {one.name: one for one in subjects(data, model)}
        self.expected: dict[str, dict[str, str]] = {}
        self.seconds: dict[str, float] = {}
        self._trial = 0

    def fresh(self) -> Path:
        """A new folder for a trial."""
        self._trial += 1
        return self.folder / f"trial-{self._trial}"

    def in_peace(self, name: str) -> None:
        """What a command leaves that nobody disturbs, twice the same."""
        for _ in range(2):
            place = self.fresh()
            done = attempt(self.subjects[name], place)
            assert done.code == 0, done.said
            found = digest(place / "out")
            assert found, "nothing to compare"
            assert self.expected.setdefault(name, found) == found, f"{name}: two undisturbed runs differ"
            self.seconds[name] = done.seconds
            shutil.rmtree(place)

    def kill_at_random(self, name: str, kills: int) -> Count:
        """Kill at moments spread evenly over the command's duration, perhaps twice in one run."""
        count, subject = Count(), self.subjects[name]
        while count.kills < kills:
            place, here = self.fresh(), 0
            while True:
                again = count.kills + here < kills and (not here or self.random.random() < 0.3)
                moment = self.random.uniform(0.0, self.seconds[name]) if again else None
                last = attempt(subject, place, kill_after=moment)
                if last.code is not None:
                    break
                here += 1
                count.drafts += bool(drafts(place))
            if here:
                count.judge(f"{name}, trial {self._trial}", here, last, place / "out", self.expected[name])
            shutil.rmtree(place)
        return count

    def kill_at_every_point(self, name: str, most: int | None = None) -> Count:
        """Kill before and after each fsync, rename and write of tensors; of many, some that are spread evenly."""
        count, subject, place = Count(), self.subjects[name], self.fresh()
        points = attempt(subject, place, point=-1).points
        assert points, "no point was counted"
        shutil.rmtree(place)
        chosen = range(1, points + 1)
        if most is not None and points > most:
            chosen = sorted(self.random.sample(chosen, most))
        for point in chosen:
            place = self.fresh()
            killed = attempt(subject, place, point=point)
            assert killed.code is None, f"point {point} was not reached: {killed.said}"
            count.drafts += bool(drafts(place))
            last = attempt(subject, place)
            count.judge(f"{name}, point {point}", 1, last, place / "out", self.expected[name])
            shutil.rmtree(place)
        return count

    def half_done(self, name: str) -> Path:
        """A folder of a command that was killed in the middle, with a checkpoint in it."""
        place, point = self.fresh(), 40
        while not list(place.glob("out/checkpoint/[0-9]*")):
            shutil.rmtree(place, ignore_errors=True)
            assert attempt(self.subjects[name], place, point=point).code is None
            point += 7
        return place

    def fill_the_disk(self, name: str, points: int) -> dict[str, Any]:
        """Go on under limits on the size of a file, from nothing up to the largest file that is written."""
        half, subject = self.half_done(name), self.subjects[name]
        (newest,) = sorted(half.glob("out/checkpoint/[0-9]*"))[-1:]
        largest = max(path.stat().st_size for path in newest.iterdir())
        whole = {path.name: path.read_bytes() for path in newest.iterdir()}
        limits = [round(largest * at / points) for at in range(points)]
        found = {"points": points, "told": 0, "intact": 0, "equal": 0, "largest_file": largest, "faults": []}
        for limit in limits:
            place = self.fresh()
            shutil.copytree(half, place)
            stopped = attempt(subject, place, limit=limit)
            error = stopped.said[stopped.said.rfind("error: ") :]
            told = stopped.code == 4 and "File too large" in error and "mend:" in error and "Traceback" not in error
            here = place / newest.relative_to(half)
            intact = here.is_dir() and {path.name: path.read_bytes() for path in here.iterdir()} == whole
            last = attempt(subject, place)
            equal = last.code == 0 and digest(place / "out") == self.expected[name] and not leftovers(place / "out")
            went_on = "goes on from the checkpoint" in last.said
            found["told"] += told
            found["intact"] += intact and went_on
            found["equal"] += equal
            if not (told and intact and equal and went_on):
                found["faults"].append(
                    f"{name}, {limit} bytes: code {stopped.code}, {error[:300]!r}, {last.said[-300:]!r}"
                )
            shutil.rmtree(place)
        shutil.rmtree(half)
        return found

    def damage(self, name: str) -> dict[str, Any]:
        """Flip, cut and delete every file of a real checkpoint: each is to be found, and none of it read."""
        from welltuned.checkpoints import Identity, Store

        half = self.half_done(name)
        (newest,) = sorted(half.glob("out/checkpoint/[0-9]*"))[-1:]
        for other in newest.parent.iterdir():
            if other != newest:
                shutil.rmtree(other)
        found: dict[str, Any] = {"files": 0, "flipped": 0, "cut": 0, "deleted": 0, "found": 0, "faults": []}
        told = json.loads((newest / "state.json").read_bytes())["of"]
        identity = Identity(told["spec"], told["data"], told["weights"], {})

        def is_read() -> bool:
            return Store(newest.parent, identity, 2, lambda _: None).newest() is not None

        assert is_read(), "the undamaged one is not read"
        for path in sorted(newest.iterdir()):
            content, found["files"] = path.read_bytes(), found["files"] + 1
            for how, spoilt in _spoilt(content, self.random):
                path.unlink()
                if spoilt is not None:
                    path.write_bytes(spoilt)
                found[how] += 1
                if is_read():
                    found["faults"].append(f"{path.name}: {how}")
                else:
                    found["found"] += 1
                path.write_bytes(content)
        shutil.rmtree(half)
        return found


def _spoilt(content: bytes, chance: random.Random) -> Iterator[tuple[str, bytes | None]]:
    places = range(len(content)) if len(content) < 700 else sorted(chance.sample(range(len(content)), 200))
    for at in places:
        yield "flipped", content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
    for length in sorted({0, 1, len(content) // 3, len(content) // 2, len(content) - 1}):
        yield "cut", content[:length]
    yield "deleted", None


def soak(asked: argparse.Namespace, folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Everything, as the document that is written."""
    one, seed, kills, points = Soak(folder, asked.seed), asked.seed, asked.kills, asked.points
    found: dict[str, Any] = {"seed": seed, "random": {}, "points": {}, "disk": {}, "damage": {}}
    started, names = time.perf_counter(), asked.only.split(",") if asked.only else list(one.subjects)
    disk = [name for name in ("full", "lora") if name in names]
    if not disk or not set(names) <= set(one.subjects):
        sys.exit(f"--only {asked.only}: name some of {', '.join(one.subjects)}, full or lora among them")
    for i, name in enumerate(names):
        one.in_peace(name)
        share = kills * (i + 1) // len(names) - kills * i // len(names)
        found["random"][name] = vars(one.kill_at_random(name, share))
        tell(f"{name}: {found['random'][name]}")
    for name in names:
        found["points"][name] = vars(one.kill_at_every_point(name, points))
        tell(f"{name}, at points: {found['points'][name]}")
    for name in disk:
        found["disk"][name] = one.fill_the_disk(name, asked.disk // len(disk))
        tell(f"{name}, disk: {found['disk'][name]}")
    found["damage"][disk[-1]] = one.damage(disk[-1])
    tell(f"damage: {found['damage']}")
    found["minutes"] = round((time.perf_counter() - started) / 60, 1)
    return found | hardware()


def hardware() -> dict[str, Any]:
    """With what it was tried."""
    import safetensors
    import torch
    import transformers

    from welltuned.record import processor_name

    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "safetensors": safetensors.__version__,
        },
    }


def faults(document: dict[str, Any]) -> list[str]:
    """All that went wrong."""
    return [
        fault
        for kind in ("random", "points", "disk", "damage")
        for one in document[kind].values()
        for fault in one["faults"]
    ]


def told(document: dict[str, Any]) -> str:
    """The figures as docs/reliability.md has them."""
    lines = [
        "| command | killed at random | went on, equal | killed in a write | went on, equal |",
        "|---|---:|---:|---:|---:|",
    ]
    sums = [0] * 4
    for name, one in document["random"].items():
        at = document["points"][name]
        row = [one["kills"], one["equal"], at["kills"], at["equal"]]
        sums = [a + b for a, b in zip(sums, row, strict=True)]
        lines.append(f"| {name} | {' | '.join(map(str, row))} |")
    lines.append(f"| together | {' | '.join(map(str, sums))} |")
    disk = list(document["disk"].values())
    points, named, intact, equal = (sum(one[what] for one in disk) for what in ("points", "told", "intact", "equal"))
    spoilt = next(iter(document["damage"].values()))
    versions = ", ".join(f"{name} {version}" for name, version in document["versions"].items())
    lines += [
        "",
        f"- Disk: {points} limits on the size of a file, from nothing to a checkpoint's largest file: {named} times "
        f"exit code 4 and a clear error, {intact} times the last checkpoint was unchanged byte for byte and used, "
        f"{equal} times the result was that of an undisturbed run.",
        f"- Damage: {spoilt['files']} files of a checkpoint, {spoilt['flipped']} flipped bits, {spoilt['cut']} cuts, "
        f"{spoilt['deleted']} deletions: {spoilt['found']} of "
        f"{spoilt['flipped'] + spoilt['cut'] + spoilt['deleted']} found.",
        f"- {document['minutes']} minutes, seed {document['seed']}, one thread, {document['processor']} "
        f"({document['cores']} cores), Python {document['python']}, {versions}.",
    ]
    return "\n".join(lines)


def filled(page: str, document: dict[str, Any]) -> str:
    """The page with these figures between its two markers."""
    before, rest = page.split(MARKERS[0])
    return f"{before}{MARKERS[0]}\n{told(document)}\n{MARKERS[1]}{rest.split(MARKERS[1])[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--points", type=int, default=None, help="of each command at most; else all")
    parser.add_argument("--disk", type=int, default=40, help="limits on the size of files")
    parser.add_argument("--only", help="comma-separated commands, full or lora among them; else all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    preload()
    with tempfile.TemporaryDirectory() as folder:
        document = soak(asked, Path(folder), lambda text: print(text, flush=True))
    asked.out.write_text(json.dumps(document, indent=1) + "\n")
    if asked.out == RESULTS:
        PAGE.write_text(filled(PAGE.read_text(), document))
    sys.exit(f"faults: {faults(document)}" if faults(document) else 0)


if __name__ == "__main__":
    main()
