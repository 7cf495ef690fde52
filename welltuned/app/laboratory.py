"""The fourth tab: the attention laboratory, each experiment's numbers as sliders and its drawing beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from welltuned.app import turns
from welltuned.app.markup import as_ours, framed, trouble
from welltuned.app.quiet import QUIET, SHOWN, gr, html
from welltuned.app.sliders import Control, Scale, controls, given
from welltuned.attention import drawing, experiments
from welltuned.attention.experiments import _base
from welltuned.attention.experiments._base import Experiment, Finding
from welltuned.errors import UsageError
from welltuned.pretrained import pretrained
from welltuned.report import markup, sections
from welltuned.report.gallery import Picture
from welltuned.report.markup import element, join
from welltuned.spec import ModelSpec


def tab(turned_to: Any) -> None:
    """Lay out the tab: a menu of experiments, and a panel for the one that is chosen.

    Args:
        turned_to: Gradio's event of turning to the tab, at which the first drawing is made.
    """
    names = experiments.names()
    kinds = {name: experiments.find(name) for name in names}
    first = names[-1]
    menu = gr.Dropdown(names, value=first, label="Experiment", elem_id="experiment", interactive=True)
    panels = [_panel(name, kind, menu, turned_to, visible=name == first) for name, kind in kinds.items()]

    def turn(chosen: str) -> list[Any]:
        return [gr.Column(visible=name == chosen) for name in names]

    menu.change(turn, menu, panels, **QUIET)


def _panel(name: str, kind: type[Experiment], menu: Any, turned_to: Any, *, visible: bool) -> Any:
    """The controls of one experiment and its drawing, made whenever a number changes or the experiment is chosen."""
    with gr.Column(visible=visible) as panel:
        html(framed(element("p", _about(kind) + ".")))
        with gr.Row(elem_classes="laboratory"):
            with gr.Column(scale=2, min_width=280):
                widgets = [(one, widget) for one in controls(kind) for widget in _widgets(name, one)]
            with gr.Column(scale=3, min_width=300):
                drawn = html(elem_id=f"finding-{name}", elem_classes="drawing")
                told = html(elem_id=f"numbers-{name}", elem_classes="numbers")
    inputs = [widget for _, widget in widgets]

    def draw(chosen: str, *values: Any) -> Any:
        return finding(kind, values) if chosen == name else (gr.skip(), gr.skip())

    changes = [
        event
        for one, widget in widgets
        for event in ([widget.change] if one.scales or isinstance(one.value, bool) else [widget.submit, widget.blur])
    ]
    gr.on(
        [turned_to, menu.change, *changes], draw, [menu, *inputs], [drawn, told], trigger_mode="always_last",
        **SHOWN,
    )  # fmt: skip
    return panel


def _about(kind: type[Experiment]) -> str:
    return (kind.__doc__ or "").splitlines()[0].rstrip(".")


def _widgets(experiment: str, one: Control) -> list[Any]:
    """One widget, or one a number of a list."""
    label, info = one.name.replace("_", " "), one.about
    place = f"{experiment}-{one.name}"
    if not one.scales:
        if isinstance(one.value, bool):
            return [gr.Checkbox(one.value, label=label, info=info, elem_id=place)]
        rows = one.value.count("\n") + 1
        hint = "; commas within a row, one row a line" if ";" in one.form else "; separated by commas"
        info += hint if "," in one.form else ""
        return [gr.Textbox(one.value, label=label, info=info, lines=rows, max_lines=12, elem_id=place)]
    if not one.many:
        return [_slider(one.scales[0], label, info, place)]
    return [
        _slider(scale, f"{label}, number {at}", info if at == 1 else None, f"{place}-{at}")
        for at, scale in enumerate(one.scales, start=1)
    ]


def _slider(scale: Scale, label: str, info: str | None, place: str) -> Any:
    return gr.Slider(scale.low, scale.high, scale.value, step=scale.step, label=label, info=info, elem_id=place)


def finding(kind: type[Experiment], values: Sequence[Any]) -> tuple[str, str]:
    """What an experiment finds with these numbers, drawn, and told, as HTML; or why it finds nothing."""
    try:
        made = _base.made(kind, given(kind, values))
        found = _base.found(made, _encoder, "the numbers of this experiment")
        drawn = join(_drawn(found))
    except Exception as error:
        return framed(trouble(as_ours(error))), ""
    return framed(drawn), framed(element("h3", "In numbers"), markup.block("\n".join(found.lines)))


def _drawn(found: Finding) -> list[str]:
    pictures = [
        Picture(name, name.replace("-", ", ") + ".", "\n".join(found.lines), draw)
        for name, draw in found.figures.items()
    ]
    with turns.drawing:
        pngs = [drawing.png(one.draw()) for one in pictures]
    return [
        sections.figure(one, png, f"Figure {place}")
        for place, (one, png) in enumerate(zip(pictures, pngs, strict=True), start=1)
    ]


def _encoder(name: str, max_length: int) -> tuple[Any, Any]:
    try:
        found = pretrained(ModelSpec(name=name, max_length=max_length))
    except ValidationError as error:
        raise UsageError(f"{name!r} cannot be used here", why=str(error.errors(include_url=False)[0]["msg"])) from error
    return found.backbone(), found.tokenizer
