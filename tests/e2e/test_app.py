"""The page in a real browser: everything by keyboard, on a narrow screen too, and nothing asked of any other place."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from made_records import make_run

from welltuned.attention import experiments
from welltuned.cli import main
from welltuned.progress import PROGRESS
from welltuned.record import Progress, write_json

pytest.importorskip("gradio", reason="the extra app is not installed")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
uvicorn = pytest.importorskip("uvicorn")

CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
    pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting'"),  # these two are Gradio's, of pandas
    pytest.mark.filterwarnings("ignore:The copy keyword is deprecated"),
]

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
SHORT = ("--epochs", "2", "--max-length", "32", "--batch-size", "8", "--precision", "fp32")
METHODS = ("head", "prefix:length=3")
TABS = ("Comparison", "Curves", "Playground", "Attention")
NASTY = "<img src=x onerror=alert(1)> {{constructor}} ${alert(1)} `"
PATIENCE = 20_000


@contextmanager
def nothing_asked_of_others() -> Iterator[None]:
    """This process looks up no name, and connects to no address, but this machine's own."""
    asked: list[Any] = []
    look_up, connect = socket.getaddrinfo, socket.socket.connect

    def looking_up(host: Any, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        return look_up(host, *rest, **more)

    def connecting(one: socket.socket, address: Any) -> Any:
        asked.append(address[0] if isinstance(address, tuple) else "localhost")
        return connect(one, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", looking_up)
        patch.setattr(socket.socket, "connect", connecting)
        yield
    assert {str(host) for host in asked} <= {"127.0.0.1", "localhost", "::1"}


@contextmanager
def served(root: Path) -> Iterator[str]:
    """The page's address while it is served from a thread of this process, which asks nothing of any other."""
    with nothing_asked_of_others(), own_loop(), _serving(root) as address:
        yield address


@contextmanager
def own_loop() -> Iterator[None]:
    """An event loop for this thread where it has none: Gradio would make one, and leave it open."""
    if asyncio._get_running_loop() is not None:
        yield
        return
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@contextmanager
def _serving(root: Path) -> Iterator[str]:
    from welltuned.app.serving import application

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(root), log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, problem: Path, bert: Path) -> Path:
    """A finished comparison of two methods on a tiny model."""
    out = tmp_path_factory.mktemp("app") / "out"
    with pytest.raises(SystemExit) as left:
        main(["compare", str(problem), "--methods", ",".join(METHODS), "--model", str(bert), "--out", str(out), *SHORT])
    assert left.value.code == 0
    return out


@pytest.fixture(scope="module")
def address(results: Path) -> Iterator[str]:
    with served(results) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


class Visit:
    """An open page, with what it asked for and what it complained of."""

    def __init__(self, page: Any, address: str) -> None:
        self.page, self.address = page, address
        self.asked: list[str] = []
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on(
            "console", lambda said: self.complaints.append(said.text) if said.type in ("error", "warning") else None
        )
        page.goto(address)
        page.wait_for_selector("#comparison .report")

    def turn(self, tab: str) -> None:
        """Go to a tab by keyboard: from the tab list, by arrows."""
        self.page.get_by_role("tab", selected=True).focus()
        for _ in TABS:
            if self.page.get_by_role("tab", selected=True).inner_text().strip() == tab:
                return
            self.page.keyboard.press("ArrowRight")
        assert self.page.get_by_role("tab", selected=True).inner_text().strip() == tab

    def focused(self, where: str) -> bool:
        """Whether the focus is at or in what a selector finds."""
        return bool(self.page.evaluate("s => !!document.activeElement.closest(s)", where))

    def tab_to(self, where: str, most: int = 40) -> None:
        """Press Tab until the focus is there."""
        for _ in range(most):
            if self.focused(where):
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"{where} is not reached by Tab")

    def settle(self, what: Callable[[], bool], seconds: float = PATIENCE / 1000) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end
            self.page.wait_for_timeout(50)

    def require_clean(self) -> None:
        """Nothing was asked of another place, and nothing was complained of."""
        outside = [url for url in self.asked if not url.startswith((self.address + "/", "data:", "blob:"))]
        assert outside == []
        assert len(self.asked) > 5
        assert self.complaints == []


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def open_page(address: str, width: int = 1280, scheme: str = "light") -> Visit:
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme))
        return Visit(contexts[-1].new_page(), address)

    yield open_page
    for context in contexts:
        context.close()


def overflow(page: Any) -> int:
    """By how many pixels the page is wider than its window."""
    found = page.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth) - innerWidth")
    return int(found)


def test_a_question_is_answered_by_every_method_by_keyboard_alone(visit: Callable[..., Visit], address: str) -> None:
    one = visit(address)
    page = one.page
    assert "beats" in page.inner_text("#comparison .verdict") or "difference" in page.inner_text("#comparison .verdict")
    assert page.locator("#comparison table").first.locator("tbody th[scope=row]").all_inner_texts()[:2] == [*METHODS]
    assert page.locator("#comparison img").count() >= 3
    assert all(image.get_attribute("alt") for image in page.locator("#comparison img").all())
    one.turn("Playground")
    one.tab_to("#question")
    page.keyboard.type("is it so " + NASTY)
    one.tab_to("#passage")
    page.keyboard.insert_text(NASTY + " red sun hot" * 20)
    one.tab_to("#ask")
    page.keyboard.press("Enter")
    page.wait_for_selector("#answers table")
    table = page.locator("#answers table")
    assert table.locator("tbody th").all_inner_texts() == [*METHODS]
    for answer in table.locator("tbody tr").all():
        label, confidence = answer.locator("td").all_inner_texts()[:2]
        assert label in ("yes", "no")
        assert 50 <= float(re.match(r"[\d.]+", confidence)[0]) <= 100  # type: ignore[index]
    assert page.locator("#answers del").count() >= 10
    assert NASTY in page.inner_text("#answers blockquote p:first-child")
    pytest.importorskip("captum")
    page.wait_for_selector("#words blockquote")
    assert "convergence delta" in page.inner_text("#words")
    assert page.locator("#words .level-4").count() >= 1
    one.require_clean()


def test_a_slider_changes_the_drawing(visit: Callable[..., Visit], address: str) -> None:
    one = visit(address)
    one.turn("Attention")
    page = one.page
    page.wait_for_selector("#finding-weights img")
    before = page.get_attribute("#finding-weights img", "src")
    one.tab_to("#weights-query-1 input[type=range]")
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    one.settle(lambda: page.get_attribute("#finding-weights img", "src") != before)
    one.settle(lambda: "query (-1.75, 1, 1)" in page.inner_text("#numbers-weights pre"))
    page.fill("#weights-keys textarea", "1,2\n3,4")
    page.keyboard.press("Tab")
    page.wait_for_selector("#finding-weights .trouble")
    assert "To mend it" in page.inner_text("#finding-weights .trouble")
    one.require_clean()


def test_nothing_is_wider_than_a_telephone(visit: Callable[..., Visit], address: str) -> None:
    one = visit(address, width=390, scheme="dark")
    page = one.page
    for tab in TABS:
        page.evaluate(
            "name => [...document.querySelectorAll('[role=tab]')].find(t => t.innerText.trim() === name)?.click()", tab
        )
        page.wait_for_timeout(300)
        assert overflow(page) <= 0, tab
    page.wait_for_selector("#finding-weights img")
    assert overflow(page) <= 0
    one.require_clean()


def test_curves_grow_while_a_training_writes_and_other_states_are_told(
    visit: Callable[..., Visit], tmp_path: Path, results: Path
) -> None:
    run = make_run("lora")
    with served(tmp_path) as place:
        one = visit(place)
        page = one.page
        assert "Nothing was found" in page.inner_text("#comparison")
        one.turn("Playground")
        assert "No model is here" in page.inner_text("#playground-empty")
        one.turn("Curves")
        page.wait_for_selector("#curves-drawing .note")
        write_json(tmp_path / "runs" / run.name / PROGRESS, Progress(spec=run.spec, curve=run.curve[:2]))
        page.wait_for_selector("#curves-drawing img")
        assert "2 of 7" in page.inner_text("#curves-state")
        before = page.get_attribute("#curves-drawing img", "src")
        write_json(tmp_path / "runs" / run.name / PROGRESS, Progress(spec=run.spec, curve=run.curve[:3]))
        one.settle(lambda: page.get_attribute("#curves-drawing img", "src") != before)
        one.settle(lambda: "3 of 7" in page.inner_text("#curves-state"))
        one.require_clean()


def test_a_damaged_model_is_told_beside_the_answers_of_the_others(
    visit: Callable[..., Visit], tmp_path: Path, results: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(results, copy)
    weights = next(copy.glob("runs/head-*/model/model.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-8] + b"\0\1\2\3\4\5\6\7")
    with served(copy) as place:
        one = visit(place)
        one.turn("Playground")
        page = one.page
        page.fill("#question textarea", "is it so")
        page.fill("#passage textarea", "red sun")
        page.click("#ask")
        page.wait_for_selector("#answers table")
        assert page.locator("#answers tbody th").all_inner_texts() == [METHODS[1]]
        assert "head cannot answer" in page.inner_text("#answers .trouble")
        one.require_clean()


def test_only_this_machine_is_answered_and_no_file_is_handed_out(results: Path, tmp_path: Path) -> None:
    import httpx

    with served(results) as place:
        assert httpx.get(place, headers={"host": "elsewhere.example"}).status_code == 400
        answer = httpx.get(place)
        assert answer.status_code == 200
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        for file in ("/etc/passwd", results / "results.json", Path(__file__), "pyproject.toml"):
            assert httpx.get(f"{place}/gradio_api/file={file}").status_code in (403, 404)
    with pytest.raises(SystemExit) as left:
        main(["app", str(tmp_path / "none")])
    assert left.value.code == 3
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as left:
        main(["app", str(results), "--port", str(taken.getsockname()[1])])
    assert left.value.code == 4


@pytest.mark.slow
def test_a_real_training_is_watched_to_its_end_and_then_answers(
    visit: Callable[..., Visit], tmp_path: Path, problem: Path, bert: Path
) -> None:
    training = [sys.executable, "-m", "welltuned", "compare", str(problem), "--methods", "full", "--model", str(bert),
                "--out", str(tmp_path), *SHORT, "--epochs", "60"]  # fmt: skip
    with served(tmp_path) as place, subprocess.Popen(training, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        one = visit(place)
        page = one.page
        one.turn("Curves")
        seen: set[str] = set()

        def over() -> bool:
            seen.update(re.findall(r"\d+ of 60", page.inner_text("#curves-state")))
            return "1 finished" in page.inner_text("#curves-state")

        one.settle(over, 180)
        assert len(seen) >= 3
        one.turn("Playground")
        page.wait_for_selector("#question textarea")
        one.require_clean()
    assert not list(tmp_path.rglob(PROGRESS))


@pytest.mark.slow
@pytest.mark.parametrize("name", experiments.names())
def test_every_experiment_is_drawn(visit: Callable[..., Visit], address: str, name: str) -> None:
    one = visit(address)
    one.turn("Attention")
    page = one.page
    one.tab_to("#experiment")
    page.keyboard.press("Control+A")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    page.wait_for_selector(f"#finding-{name} img, #finding-{name} .trouble")
    assert page.locator(f"#finding-{name} .trouble").count() == 0
    assert overflow(page) <= 0
    one.require_clean()


def test_without_the_extra_a_sentence_says_what_to_install(results: Path) -> None:
    code = "import sys; sys.modules['gradio'] = None; from welltuned.cli import main; main(['app', sys.argv[1]])"
    done = subprocess.run([sys.executable, "-c", code, str(results)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'welltuned[app]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_command_says_where_and_ends_at_a_signal(results: Path) -> None:
    command = [sys.executable, "-m", "welltuned", "app", str(results), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        address = running.stdout.readline().split()[0]
        port = int(address.rsplit(":", 1)[1])
        assert port > 0
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 0
        assert "Traceback" not in running.stderr.read()
    assert address.startswith("http://127.0.0.1:")
