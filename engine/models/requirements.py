"""What a model needs to be loaded: libraries, each with the command that installs it."""

from __future__ import annotations

from engine.core.vocabulary import ModelVersion
from engine.models.artifact import Artifact, read_artifact

_OF_FLAVOR = {
    "sklearn": ("sklearn", "pip install scikit-learn"),
    "tensorflow": ("tensorflow", "pip install 'evalmatrix[tensorflow]'"),
    "pytorch": ("torch", "pip install 'evalmatrix[torch]'"),
    "pyfunc": ("mlflow", "pip install mlflow-skinny"),
}


def artifact_requirements(artifact: Artifact) -> dict[str, str]:
    """The libraries that loading a model imports, each with the command that installs it."""
    library, command = _OF_FLAVOR[artifact.flavor]
    commands = {library: command}
    loader = str(artifact.flavors.get("python_function", {}).get("loader_module", ""))
    own = loader.startswith("mlflow.") and not loader.startswith("mlflow.pyfunc")
    if artifact.flavor == "pyfunc" and own:
        library = loader.split(".")[1]
        commands[library] = f"pip install {library}"
    if artifact.flavors.get("sklearn", {}).get("serialization_format") == "skops":
        commands["skops"] = "pip install skops"
    return commands


def model_requirements(model: ModelVersion) -> dict[str, str]:
    """The same for a model whose folder is on this machine; none for one that is not loaded."""
    no_files = model.is_stored or model.is_endpoint or model.refusal
    return {} if no_files else artifact_requirements(read_artifact(model.path))
