"""How what tests are about is called where people read: models, the data, what they are beside."""

from __future__ import annotations

from engine.core.vocabulary import NO_MODEL, Cell, EvaluationResult


def model_label(name: str) -> str:
    """How a model is called where people read; what has none is of the data."""
    return name or "the data"


def columns_of(evaluation: EvaluationResult) -> list[str]:
    """The names of all that has cells: the models, then the data."""
    # Cells share the few models that there are.
    models = {id(cell.model): cell.model for cell in evaluation.cells}.values()
    of_data = any(model.name == NO_MODEL.name for model in models)
    return [*(model.name for model in evaluation.models), *([NO_MODEL.name] if of_data else [])]


def reference_label(cell: Cell) -> str:
    """What a cell is compared with: the baseline, or of a variant the model as it is."""
    is_itself = cell.variant != "clean" and cell.baseline_model == cell.model.name
    return "clean model" if is_itself else "baseline"
