"""Databricks bundles and Spark's operators, each by the classes of its own project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.bundles.jobs import Job
from databricks.bundles.model_serving_endpoints import ModelServingEndpoint
from jsonschema import ValidationError, validate
from kubeflow_spark_api.models import (
    SparkV1beta2ScheduledSparkApplication,
    SparkV1beta2SparkApplication,
)

from engine import InputError
from engine.commands.artifacts.render import DELTA_PACKAGE, SPARK_VERSION
from tests.fixtures.exports import cluster_suite, documents, tool

Exporting = Callable[..., Path]


# --- databricks ------------------------------------------------------------------------------


def suite_of_a_catalog() -> dict[str, Any]:
    suite = cluster_suite(mlflow={"tracking_uri": "databricks"}, store="prod.evalmatrix")
    (evaluation,) = suite["evaluations"]
    evaluation["models"] = [{"uri": f"models:/prod.risk.claims/{n}"} for n in (2, 3)]
    del evaluation["baseline"]
    return suite


def resources(folder: Path) -> dict[str, dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for path in sorted((folder / "resources").glob("*.yml")):
        for kind, items in documents(path)[0]["resources"].items():
            merged.setdefault(kind, {}).update(items)
    return merged


def test_databricks_knows_every_key_of_the_bundle(exporting: Exporting) -> None:
    folder = exporting("databricks", suite_of_a_catalog())
    found = resources(folder)
    jobs = {name: Job.from_dict(job) for name, job in found["jobs"].items()}
    assert sorted(jobs) == ["deployment", "nightly", "on_data", "on_version_1"]
    for job in jobs.values():
        for task in job.tasks:
            python = task.spark_python_task
            assert task.max_retries == 0
            assert (folder / "resources" / python.python_file).resolve().is_file()
            assert python.parameters[1] == "${workspace.file_path}/suite.yml" or (
                python.parameters[:4:3] == ["promote", "${workspace.file_path}/suite.yml"]
            )
    endpoint = ModelServingEndpoint.from_dict(found["model_serving_endpoints"]["model"])
    assert endpoint.config.served_entities[0].entity_name == "prod.risk.claims"
    assert endpoint.config.served_entities[0].entity_version == "3"
    assert jobs["on_data"].trigger.table_update.table_names == ["prod.risk.claims"]
    assert jobs["nightly"].schedule.quartz_cron_expression == "0 0 3 * * ?"
    assert jobs["on_version_1"].trigger.model.securable_name == "prod.risk.claims"
    bundle = documents(folder / "databricks.yml")[0]
    for variable in re.findall(r"\$\{var\.(\w+)\}", json.dumps(found)):
        assert variable in bundle["variables"]


def test_databricks_takes_no_unknown_key() -> None:
    with pytest.raises(ValueError, match="max_retrys"):
        Job.from_dict({"name": "a", "tasks": [{"task_key": "b", "max_retrys": 1}]})


def test_a_deployment_job_takes_the_two_parameters(exporting: Exporting) -> None:
    job = resources(exporting("databricks"))["jobs"]["deployment"]
    assert [item["name"] for item in job["parameters"]] == ["model_name", "model_version"]
    evaluation, deployment = job["tasks"]
    assert evaluation["spark_python_task"]["parameters"] == [
        "watch", "${workspace.file_path}/suite.yml", "--once",
        "--model-name", "{{job.parameters.model_name}}",
        "--model-version", "{{job.parameters.model_version}}",
    ]  # fmt: skip
    assert deployment["depends_on"] == [{"task_key": "evaluation"}]


def test_what_databricks_cannot_do_is_told(exporting: Exporting) -> None:
    with pytest.raises(InputError, match="one of the week, expected one of both: Quartz"):
        exporting("databricks", schedule="0 3 1 * 1")
    with pytest.raises(InputError, match=r"champion', expected for databricks a version"):
        exporting("databricks", model="models:/claims@champion")


def commands(folder: Path) -> list[list[str]]:
    """The command lines of evalmatrix in a bundle, without what Databricks fills in."""
    return [
        task["spark_python_task"]["parameters"]
        for job in resources(folder)["jobs"].values()
        for task in job["tasks"]
    ]


def test_the_command_lines_of_a_bundle_are_of_evalmatrix(exporting: Exporting) -> None:
    from engine.cli.app import COMMANDS
    from engine.cli.declaration import make_command, read_declaration

    overrides = ["evaluations.claims.min_slice_rows=7"]
    lines = commands(exporting("databricks", overrides=overrides))
    assert {line[0] for line in lines} == {"run", "watch", "promote"}
    for name, *arguments in lines:
        command = make_command(read_declaration(name), COMMANDS[name])
        context = command.make_context(name, list(arguments), resilient_parsing=False)
        assert overrides[0] in context.params["overrides"]


# --- the program that calls evalmatrix -------------------------------------------------------


@pytest.mark.parametrize(("target", "name"), [("databricks", "src/evaluate.py"),
                                              ("spark-operator", "evaluate.py")])  # fmt: skip
@pytest.mark.parametrize("codes", [[0], [1], [2], [3], [4, 0], [4, 4, 4]])
def test_the_program_raises_and_tries_the_machinery_again(
    target: str, name: str, codes: list[int], exporting: Exporting, tmp_path: Path
) -> None:
    program = exporting(target) / name
    package = tmp_path / "fake" / "engine" / "cli"
    package.mkdir(parents=True)
    (package.parent / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "app.py").write_text(
        f"import sys\ncodes = iter({codes})\n"
        "def main():\n    print(' '.join(sys.argv[1:]))\n    sys.exit(next(codes))\n"
    )
    short = f"import runpy, time; time.sleep = lambda s: None; runpy.run_path({str(program)!r}, run_name='__main__')"  # noqa: E501
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[1:] = ['run', 's.yml']; {short}"],
        env={**os.environ, "PYTHONPATH": str(tmp_path / "fake"), "RUN_ID": "claims-7"},
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["run s.yml --run-id claims-7"] * len(codes)
    assert (done.returncode == 0) == (codes[-1] == 0)
    if codes[-1]:
        assert re.search(rf"RuntimeError: .*\(exit code {codes[-1]}\)", done.stderr)


# --- spark on kubernetes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("sparkapplication", SparkV1beta2SparkApplication),
        ("scheduledsparkapplication", SparkV1beta2ScheduledSparkApplication),
    ],
)
def test_kubeflow_loses_nothing_of_the_application(
    name: str, kind: Any, exporting: Exporting
) -> None:
    (written,) = documents(exporting("spark-operator") / "kubeflow" / f"{name}.yaml")
    # The classes drop what they do not know.
    assert kind.from_dict(written).to_dict() == written
    spec = written["spec"].get("template", written["spec"])
    assert spec["restartPolicy"] == {"type": "Never"}
    assert spec["driver"]["env"][0]["name"] == "RUN_ID"
    wrong = {**written, "spec": {**written["spec"], "colour": "red"}}
    assert kind.from_dict(wrong).to_dict() != wrong


STRING = {"type": "string"}
TEXTS = {"type": "object", "additionalProperties": STRING}


def closed(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": required,
            "properties": properties}  # fmt: skip


# Of Apache's operator 1.0 nobody packs a schema: the keys of its SparkApplication that are used.
APACHE = closed(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "spark.apache.org/v1"},
    kind={"const": "SparkApplication"},
    metadata={"type": "object", "required": ["name"]},
    spec=closed(
        ["runtimeVersions"],
        mainClass=STRING,
        jars=STRING,
        pyFiles=STRING,
        driverArgs={"type": "array", "items": STRING},
        sparkConf=TEXTS,
        runtimeVersions=closed(["sparkVersion"], sparkVersion=STRING, scalaVersion=STRING),
        driverSpec=closed([], podTemplateSpec={"type": "object", "required": ["spec"]}),
        executorSpec=closed([], podTemplateSpec={"type": "object", "required": ["spec"]}),
        applicationTolerations=closed(
            [],
            restartConfig=closed(
                [],
                restartPolicy={
                    "enum": ["Always", "Never", "OnFailure", "OnInfrastructureFailure"],
                },
                maxRestartAttempts={"type": "integer"},
            ),
            instanceConfig={"type": "object"},
            resourceRetainPolicy={"enum": ["Always", "OnFailure", "Never"]},
            ttlAfterStopMillis={"type": "integer"},
        ),
    ),
)


def test_apaches_application_has_the_keys_that_there_are(exporting: Exporting) -> None:
    (written,) = documents(exporting("spark-operator") / "apache" / "sparkapplication.yaml")
    validate(written, APACHE)
    with pytest.raises(ValidationError):
        validate({**written, "spec": {**written["spec"], "mainApplicationFile": "x"}}, APACHE)


def test_the_rest_of_the_operator_is_kubernetes(exporting: Exporting) -> None:
    folder = exporting("spark-operator", cluster_suite())
    said = tool("kubernetes-validate", "--strict", folder / "rbac.yaml")
    assert said.count("passed for resource") == 3
    assert "WARN" not in said


def test_versions_are_the_pins(root: Path) -> None:
    compose = (root / "infrastructure" / "docker" / "compose.yml").read_text("utf-8")
    pins = dict(
        re.findall(r"^([\w-]+)==(\S+)", (root / "requirements.txt").read_text(), re.MULTILINE)
    )
    assert pins["pyspark"] == SPARK_VERSION
    assert f"mlflow/mlflow:v{pins['mlflow']}\n" in compose
    assert DELTA_PACKAGE.endswith(f"_2.13:{pins['delta-spark']}")
    assert f"delta-spark_{SPARK_VERSION.rpartition('.')[0]}_" in DELTA_PACKAGE
    assert yaml.safe_load(SPARK_VERSION) == SPARK_VERSION
