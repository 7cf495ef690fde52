"""The third tab: a row to type, every method's answer side by side, and the words that carried one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from welltuned.app import answering
from welltuned.app.answering import Asked
from welltuned.app.folder import contents
from welltuned.app.markup import framed, note
from welltuned.app.quiet import QUIET, SHOWN, gr, html
from welltuned.report.markup import element

PLACEHOLDERS = (
    "does water boil earlier on a mountain",
    "Air pressure falls with height, so on a mountain water boils below 100 degrees.",
)
EMPTY = framed(
    note(
        "No model is here to answer yet", "A run leaves its model when it ends; what is under way stands under Curves."
    )
)
WAITING = framed(element("p", "Every trained method will answer here.", class_="quiet"))


def tab(results: Any, opened: Any, turned_to: Any) -> None:
    """Lay out the tab; it is suited to the folder anew when the page opens, and when it is turned to.

    Args:
        results: the menu of folders.
        opened, turned_to: Gradio's events of the page's opening and of turning to the tab.
    """
    empty = html(elem_id="playground-empty", visible=False)
    text = gr.Textbox(label="question", lines=1, max_lines=4, placeholder=PLACEHOLDERS[0], elem_id="question")
    pair = gr.Textbox(label="passage", lines=4, max_lines=12, placeholder=PLACEHOLDERS[1], elem_id="passage")
    with gr.Row():
        seed = gr.Dropdown([0], value=0, label="Runs of seed", visible=False, elem_id="seed", min_width=140)
        ask = gr.Button("Answer", variant="primary", elem_id="ask", scale=0, min_width=200)
    answers = html(WAITING, elem_id="answers")
    method = gr.Dropdown([], label="Show the words that carried the answer of", visible=False, elem_id="explained")
    words = html(elem_id="words")
    seen = gr.State(())

    def suit(folder: str, before: Any) -> tuple[Any, ...]:
        found = contents(Path(folder))
        known = answering.seeds(found)
        names = list(answering.trained(found, known[0])) if known else []
        now = (folder, tuple(known), tuple(names))
        if now == before:
            return (gr.skip(),) * 9
        first, second = answering.columns(found)
        return (
            gr.HTML(EMPTY, visible=not known),
            gr.Textbox(label=first, visible=bool(known)),
            gr.Textbox(label=second or "", visible=bool(known) and second is not None),
            gr.Dropdown(known or [0], value=(known or [0])[0], visible=len(known) > 1),
            gr.Button(visible=bool(known)),
            gr.HTML(WAITING, visible=bool(known)),
            gr.Dropdown(names, value=answering.best(found, names), visible=bool(known)),
            gr.HTML(""),
            now,
        )

    def answer(folder: str, number: int, first: str, second: str) -> str:
        return answering.answers(Asked(Path(folder), int(number), first, second))

    def weigh(folder: str, number: int, first: str, second: str, name: str | None) -> str:
        return answering.carried(Asked(Path(folder), int(number), first, second), name or "")

    row = [results, seed, text, pair]
    for event in (ask.click, text.submit, pair.submit):
        asked = event(answer, row, answers, **SHOWN)
        asked.then(weigh, [*row, method], words, **SHOWN)
    method.input(weigh, [*row, method], words, **SHOWN)
    outputs = [empty, text, pair, seed, ask, answers, method, words, seen]
    gr.on([opened, turned_to, results.change], suit, [results, seen], outputs, **QUIET)
