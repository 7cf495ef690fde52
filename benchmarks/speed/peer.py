"""The peer's side: Hugging Face's Trainer, with PEFT where the method is PEFT's; one training after another."""

from __future__ import annotations

import logging
import tempfile
import time
from typing import Any

import numpy as np
import torch
import transformers
from datasets import Dataset
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)
from work import PROMPT, Done, Work, answer

from welltuned.data import load_dataset
from welltuned.pretrained import pretrained
from welltuned.spec import DataSpec, ModelSpec

BEST = {"train_sampling_strategy": "group_by_length", "optim": "adamw_torch_fused"}
"""Beside bf16 where that is faster. torch_compile stays off: compiling is part of the time, and took 38 s for 2.8 s of
steps where it was tried (docs/speed.md)."""


def model_for(work: Work, folder: str, seed: int) -> Any:
    torch.manual_seed(seed)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2, dtype=torch.float32)
    if work.method == "head":
        model.base_model.requires_grad_(False)
    elif work.method == "lora":
        model = get_peft_model(
            model, LoraConfig(task_type="SEQ_CLS", r=8, lora_alpha=16, target_modules=["query", "value"])
        )
    elif work.method == "prefix":
        model = get_peft_model(model, PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=PROMPT))
    return model


def do(work: Work) -> Done:
    torch.set_num_threads(work.threads)
    transformers.utils.logging.set_verbosity_error()
    logging.disable(logging.WARNING)
    folder = str(pretrained(ModelSpec(name=work.model)).folder)
    data = load_dataset(DataSpec(source=work.data, max_train_samples=work.rows, max_eval_samples=work.dev_rows))
    started = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def tokenized(split: Any) -> Dataset:
        pair = None if split.pair is None else list(split.pair)
        found = tokenizer(list(split.text), pair, truncation=True, max_length=work.max_length)
        return Dataset.from_dict({**found, "labels": split.label.tolist()})

    train, dev = tokenized(data.train), tokenized(data.dev)
    accuracies: list[float] = []
    trained, correct = 0.0, []
    with tempfile.TemporaryDirectory() as out:
        for seed in work.seeds:
            for lr, epochs in work.settings:
                trainer = Trainer(
                    model=model_for(work, folder, seed),
                    args=TrainingArguments(
                        output_dir=out,
                        learning_rate=lr,
                        num_train_epochs=epochs,
                        per_device_train_batch_size=work.batch_size,
                        per_device_eval_batch_size=64,
                        seed=seed,
                        use_cpu=work.device == "cpu",
                        save_strategy="no",
                        report_to=[],
                        disable_tqdm=True,
                        bf16=work.precision == "bf16",
                        **(BEST if work.way == "best" else {}),
                    ),
                    train_dataset=train,
                    eval_dataset=dev,
                    data_collator=DataCollatorWithPadding(tokenizer),
                )
                before = time.perf_counter()
                trainer.train()
                trained += time.perf_counter() - before
                logits = trainer.predict(dev).predictions
                logits = logits[0] if isinstance(logits, tuple) else logits
                right = np.asarray(logits).argmax(axis=1) == np.asarray(dev["labels"])
                accuracies.append(float(right.mean()))
                correct = correct or right.astype(int).tolist()
    tokens = sum(map(len, train["input_ids"])) * sum(epochs for _, epochs in work.settings) * len(work.seeds)
    chosen = accuracies.index(max(accuracies))
    return Done(time.perf_counter() - started, trained, tokens, 0, accuracies, correct, chosen)


if __name__ == "__main__":
    answer(do)
