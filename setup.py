"""Builds the distribution `evalmatrix`: the import package `engine` and the command."""

from __future__ import annotations

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent

# What the engine itself imports, in a worker or at the edge. A cluster supplies Spark, and each
# user has only the frameworks of his own models: those are extras.
CORE = [
    "numpy>=2.0",
    "scipy>=1.14",
    "pandas>=2.2",
    "pyarrow>=18",
    # The tables of a store on a local disk.
    "deltalake>=1.6",
    "pydantic>=2.9",
    "PyYAML>=6.0",
    # Predicates of slices, where the workers read the rows themselves.
    "sqlglot>=26",
    "ruamel.yaml>=0.18",
    "Jinja2>=3.1",
    "matplotlib>=3.9",
    "rich>=13",
    # The page of a technical file; rich brings it along.
    "markdown-it-py>=3",
    "typer>=0.15",
    # The client alone. The tracking server of a cluster needs no more; a store in an SQLite
    # file, the default away from one, needs the whole of MLflow: extra "mlflow".
    "mlflow-skinny>=3.5",
    "cloudpickle>=2.2",
    # What mlflow's client speaks by: models that are served are asked by it, too.
    "requests>=2.31",
]

EXTRAS = {
    "spark": ["pyspark>=4.0.1", "delta-spark>=4.0"],
    "mlflow": ["mlflow>=3.5"],
    "sklearn": ["scikit-learn>=1.6", "skops>=0.13"],
    "tensorflow": ["tensorflow>=2.18"],
    "torch": ["torch>=2.5"],
    # `evalmatrix train --search` by the method `tpe`.
    "search": ["optuna>=4.0"],
    # Columns that look personal: the national numbers of people.
    "pii": ["python-stdnum>=2.0"],
    "telemetry": [
        "openlineage-python>=1.54",
        "opentelemetry-sdk>=1.30",
        "opentelemetry-exporter-otlp-proto-http>=1.30",
        "prometheus-client>=0.20",
    ],
    # `trust: {signed_by: KEY}`; model-signing imports pyopenssl without saying so.
    "signing": ["model-signing>=1.1", "pyopenssl>=24"],
}
EXTRAS["all"] = sorted({requirement for extra in EXTRAS.values() for requirement in extra})


def version() -> str:
    """Reads the version without importing the package, which need not be importable yet."""
    text = (ROOT / "engine" / "_version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise RuntimeError('engine/_version.py: found no line __version__ = "...", expected one')
    return found.group(1)


def long_description() -> str:
    readme = ROOT / "README.md"
    return readme.read_text(encoding="utf-8") if readme.exists() else ""


setup(
    name="evalmatrix",
    version=version(),
    description="Evaluates a matrix of model versions, slices and tests on Spark, Delta and MLflow",
    long_description=long_description(),
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["engine", "engine.*"]),
    package_data={
        "engine": ["py.typed"],
        "engine.commands.artifacts": ["templates/**/*.j2"],
        "engine.spark": ["*.properties"],
        "engine.sinks.generated_rows": ["*.j2"],
        "engine.sinks.papers": ["*.css"],
        "engine.sinks.report": ["**/*.j2", "**/*.css", "**/*.js", "**/*.html"],
    },
    include_package_data=False,
    install_requires=CORE,
    extras_require=EXTRAS,
    entry_points={
        "console_scripts": ["evalmatrix = engine.cli.app:main"],
        # Others fill the group "evalmatrix.metrics": a package that brings metrics of its own
        # names there the module that registers them (see CONTRIBUTING.md).
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
