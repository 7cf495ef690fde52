"""What the extra ``app`` brings, told before it is imported to send nothing anywhere.

The other files of this folder take Gradio and the server under it from here.
"""

from __future__ import annotations

import os
from typing import Any

from welltuned.errors import UsageError

os.environ.update(
    {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_SHARE": "False",
        "GRADIO_SSR_MODE": "False",
        "GRADIO_MCP_SERVER": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
)

try:
    import gradio as gr
    import uvicorn
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware
except ImportError as error:
    raise UsageError("the page needs Gradio", mend="pip install 'welltuned[app]'") from error

__all__ = ["QUIET", "SHOWN", "FastAPI", "TrustedHostMiddleware", "gr", "html", "uvicorn"]

QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
SHOWN: dict[str, Any] = {"show_progress": "minimal", "api_visibility": "private"}
"""How events run: for this page alone, and without or with a sign that something is being worked out."""


def html(value: str = "", **options: Any) -> Any:
    """A place for HTML without Gradio's own style for texts and tables."""
    return gr.HTML(value, apply_default_css=False, **options)
