"""How the page looks: fonts that every machine has, the report's own style within frames, dark where that is wanted."""

from __future__ import annotations

from importlib import resources
from typing import Any

from welltuned.app.quiet import gr
from welltuned.report.page import content_style

SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "DejaVu Sans", "sans-serif")
MONO = ("ui-monospace", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")


def theme() -> Any:
    """Gradio's plainest theme in the report's colours, without a font that would be fetched."""
    blue = gr.themes.Color("#eef5fa", "#d9e9f4", "#b5d4e9", "#83bde6", "#4b97c6", "#1d6496", "#1a5a87", "#174e75",
                           "#143f5e", "#103149", "#0b2233")  # fmt: skip
    return gr.themes.Base(primary_hue=blue, neutral_hue="slate", font=SANS, font_mono=MONO, radius_size="sm").set(
        body_background_fill="#fcfcfa",
        body_background_fill_dark="#14191e",
        body_text_color="#22303c",
        body_text_color_dark="#dfe5ea",
        body_text_color_subdued="#55626e",
        body_text_color_subdued_dark="#a0acb7",
        background_fill_primary_dark="#1b2229",
        background_fill_secondary_dark="#14191e",
        block_background_fill_dark="#1b2229",
        block_label_text_color="#22303c",
        block_title_text_color="#22303c",
        block_title_text_color_dark="#dfe5ea",
        block_info_text_color="#55626e",
        block_info_text_color_dark="#a0acb7",
        input_border_width="1px",
        input_background_fill="#ffffff",
        input_background_fill_dark="#14191e",
        input_border_color="#8a97a3",
        input_border_color_dark="#5b6874",
        input_placeholder_color="#66727d",
        input_placeholder_color_dark="#8d99a5",
        button_primary_background_fill="#1d6496",
        button_primary_background_fill_hover="#174e75",
        button_primary_background_fill_dark="#83bde6",
        button_primary_background_fill_hover_dark="#b5d4e9",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#14191e",
        slider_color="#1d6496",
        slider_color_dark="#83bde6",
    )


def head() -> str:
    """What goes into the page's head: the style of frames, and how keys move between tabs."""
    style, script = (
        resources.files("welltuned.app").joinpath(name).read_text(encoding="utf-8") for name in ("app.css", "app.js")
    )
    return f"<style>\n{style}\n.report {{\n{content_style()}\n}}\n</style>\n<script>\n{script}</script>"
