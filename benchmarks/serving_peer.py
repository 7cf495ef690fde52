"""What people put together in ten lines: a Transformers pipeline behind FastAPI, beside which our server is measured.

    python benchmarks/serving_peer.py MODEL_FOLDER PORT MAX_LENGTH

The endpoint is ``async``, so that one row is computed at a time: in a pool of threads (``def``) every row would start
threads of arithmetic of its own, which is slower still.
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from transformers import pipeline

import welltuned  # noqa: F401  lets Transformers know our model type

app = FastAPI()
ask = pipeline("text-classification", sys.argv[1])


class Row(BaseModel):
    text: str
    text_pair: str


@app.get("/ready")
async def ready() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/predict")
async def predict(row: Row) -> Any:
    return ask({"text": row.text, "text_pair": row.text_pair}, truncation="only_second", max_length=int(sys.argv[3]))


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
