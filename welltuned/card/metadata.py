"""What the Hub reads of a card: the YAML block at its head."""

from __future__ import annotations

from huggingface_hub import EvalResult, ModelCardData

from welltuned import addresses
from welltuned.card.subject import TASK, Subject


def metadata(one: Subject) -> ModelCardData:
    """The test figures stand in the model index; those of dev do not, as dev was chosen on."""
    return ModelCardData(
        license=addresses.LICENSES.get(one.base or ""),
        library_name="transformers" if one.stock else "welltuned",
        pipeline_tag=TASK,
        tags=["welltuned", TASK, one.record.spec.method.name],
        base_model=one.base,
        base_model_relation="finetune" if one.base else None,
        datasets=[one.data_id] if one.data_id else None,
        metrics=["accuracy"],
        model_name=one.record.name,
        eval_results=_index(one),
    )


def _index(one: Subject) -> list[EvalResult] | None:
    test, measures = one.judged.test, one.judged.measures
    if test is None or measures is None:
        return None
    found = {"accuracy": test.accuracy, "f1": measures.f1, "matthews_correlation": measures.mcc}
    names = {"accuracy": "Accuracy", "f1": f"F1 of {measures.f1_of}", "matthews_correlation": "Matthews correlation"}
    return [
        EvalResult(
            task_type=TASK,
            task_name="Text Classification",
            dataset_type=one.data_id or one.data,
            dataset_name=one.data,
            dataset_split="test",
            dataset_args={"sha256": one.record.provenance.data_hash, "rows": one.record.rows["test"]},
            metric_type=metric,
            metric_name=names[metric],
            metric_value=round(value, 6),
        )
        for metric, value in found.items()
    ]
