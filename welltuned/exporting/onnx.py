"""A finished run to a folder with one ONNX graph and all that is needed to answer with it."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

from welltuned import artifact
from welltuned.errors import UsageError
from welltuned.exporting.check import Subject
from welltuned.exporting.graph import quantise, require_exporter, write_graph
from welltuned.opening import write_manifest
from welltuned.predicting import EXPORT, GRAPH, OnnxForward, TorchForward, is_export, run_folder
from welltuned.record import installed_versions, read_run, require_replaceable, whole_folder, write_json
from welltuned.record.export import ExportRecord

EXAMPLE = Path(__file__).with_name("example.py")
"""Copied, not imported: it needs what the extra installs."""
RUNTIMES = ("onnx", "onnxscript", "onnxruntime")


def export_onnx(run: Path, folder: Path | None = None, int8: bool = False) -> tuple[Path, ExportRecord]:
    """Export a finished run, and hold the export against the run's own model on its dev rows.

    Args:
        run: folder of a run, a comparison (its winner) or a search (its choice).
        folder: to be made, or an older export to be replaced; else ``onnx`` or ``onnx-int8`` in the run's folder.
        int8: quantise the matrices.

    Returns:
        The folder, and what ``export.json`` says.

    Raises:
        UsageError: the extra is not installed; int8 is asked for and its loss cannot be measured; the folder holds
            something else.
        DataError: there is no finished run, or its dev rows are gone or have changed.
        WelltunedError: the graph does not compute what the model computes.
        ResourceError: the folder cannot be written.
    """
    require_exporter()
    source = run_folder(run)
    if is_export(source):
        raise UsageError("this is an export already", where=str(run), mend="name the run that it was made of")
    record = read_run(source)
    model = artifact.load(source / "model")
    tokenizer = artifact.load_tokenizer(source / "model")
    subject = Subject(record, TorchForward(model), tokenizer)
    if int8 and not subject.on_dev:
        raise UsageError(
            "the loss of accuracy by int8 cannot be measured",
            where="--int8",
            why="the run's dev rows lay in the memory of a Python program",
            mend="leave out --int8, or write the rows to files and train with welltuned train",
        )
    has_types = "token_type_ids" in tokenizer.model_input_names
    target = folder or source / ("onnx-int8" if int8 else "onnx")
    require_replaceable(target, is_export(target))
    with whole_folder(target) as draft:
        graph, whole = draft / GRAPH, draft / f"whole-{GRAPH}"
        opset = write_graph(model, has_types, whole)
        if int8:
            quantise(whole, graph)
            check = subject.check(OnnxForward(whole), OnnxForward(graph, alone=True))
            whole.unlink()
        else:
            whole.replace(graph)
            check = subject.check(OnnxForward(graph))
        tokenizer.save_pretrained(draft)
        exported = ExportRecord(
            run=record.name,
            run_id=record.id,
            labels=record.labels,
            columns=2 if record.takes_pairs else 1,
            max_length=record.spec.model.max_length,
            pad_id=int(tokenizer.pad_token_id),
            inputs=OnnxForward(graph).inputs,
            precision="int8" if int8 else "fp32",
            opset=opset,
            bytes=graph.stat().st_size,
            check=check,
            versions=installed_versions() | {name: metadata.version(name) for name in RUNTIMES},
        )
        write_json(draft / EXPORT, exported)
        write_json(draft / "record.json", record)
        shutil.copyfile(EXAMPLE, draft / EXAMPLE.name)
        write_manifest(draft)
    return target, exported
