"""Each artifact passes the validator of its own field."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import validate

from tests.fixtures.exports import cluster_suite, documents, tool

Exporting = Callable[..., Path]

# Of what KServe has no schema that a validator packs: the keys that are used here, and no others.
INFERENCE_SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "serving.kserve.io/v1beta1"},
        "kind": {"const": "InferenceService"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["predictor"],
            "properties": {
                "predictor": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["model"],
                    "properties": {
                        "minReplicas": {"type": "integer", "minimum": 0},
                        "serviceAccountName": {"type": "string"},
                        "model": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["modelFormat", "storageUri"],
                            "properties": {
                                "modelFormat": {"type": "object", "required": ["name"]},
                                "protocolVersion": {"enum": ["v1", "v2"]},
                                "storageUri": {"type": "string", "pattern": "^[a-z0-9]+://"},
                                "resources": {"type": "object"},
                            },
                        },
                    },
                }
            },
        },
    },
}


# --- kubernetes ------------------------------------------------------------------------------


@pytest.mark.parametrize("volume", [None, "20Gi"])
def test_kubernetes_knows_all_kinds_and_keys(volume: str | None, exporting: Exporting) -> None:
    folder = exporting("kubernetes", volume=volume)
    files = sorted(path for path in folder.rglob("*.yaml"))
    said = tool("kubernetes-validate", "--strict", *files)
    kinds = {path: documents(path)[0]["kind"] for path in files}
    unknown = {
        path for path, kind in kinds.items() if kind in ("Kustomization", "InferenceService")
    }
    assert said.count("passed for resource") == len(files) - len(unknown)
    assert said.count("WARN") == len(unknown) == 3
    assert sorted(set(kinds.values())) == sorted(
        {
            "CronJob", "Deployment", "HorizontalPodAutoscaler", "InferenceService", "Job",
            "Kustomization", "Service", "ServiceAccount",
        }
        | ({"PersistentVolumeClaim"} if volume else set())
    )  # fmt: skip
    (service,) = documents(folder / "kserve" / "inferenceservice.yaml")
    validate(service, INFERENCE_SERVICE)


def test_kubernetes_of_two_years_ago_takes_it_as_well(exporting: Exporting) -> None:
    folder = exporting("kubernetes", volume="1Gi")
    files = [folder / "cronjob.yaml", folder / "job.yaml", folder / "serve" / "hpa.yaml"]
    said = tool("kubernetes-validate", "-k", "1.31", "--strict", *files)
    assert said.count("passed for resource") == len(files)


def test_mlflow_has_the_options_by_which_it_is_called(exporting: Exporting) -> None:
    (deployment,) = documents(exporting("kubernetes") / "serve" / "deployment.yaml")
    serve = deployment["spec"]["template"]["spec"]["containers"][0]["command"]
    folder = exporting("docker-compose", cluster_suite(store="./store"))
    (compose,) = documents(folder / "compose.yml")
    server = compose["services"]["mlflow"]["command"][2].removeprefix("exec ").split()
    for line, words in ((serve, 3), (server, 2)):
        assert line[0] == "mlflow"
        known = tool("mlflow", *line[1:words], "--help")
        options = [word for word in line if word.startswith("--")]
        assert len(options) >= 4
        assert [option for option in options if option not in known] == []


def test_kubernetes_retries_the_machinery_and_no_failed_gate(exporting: Exporting) -> None:
    (cron,) = documents(exporting("kubernetes") / "cronjob.yaml")
    job = cron["spec"]["jobTemplate"]["spec"]
    first = job["podFailurePolicy"]["rules"][0]
    pod = job["template"]["spec"]
    assert (first["action"], first["onExitCodes"]["values"]) == ("FailJob", [1, 2, 3])
    assert first["onExitCodes"]["containerName"] == pod["containers"][0]["name"]
    assert pod["restartPolicy"] == "Never", "a policy of failures asks for it"
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    assert cron["spec"]["timeZone"] == "Europe/Berlin"
    assert pod["containers"][0]["args"][2:4] == ["--run-id", "$(RUN_ID)"]
    (once,) = documents(exporting("kubernetes") / "job.yaml")
    assert once["spec"]["template"] == job["template"]


def test_kubernetes_mounts_what_it_names(exporting: Exporting) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl cannot be installed by pip")
    folder = exporting("kubernetes", volume="1Gi")
    built = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    things = {(item["kind"], item["metadata"]["name"]): item
              for item in yaml.safe_load_all(built.stdout)}  # fmt: skip
    suite = things["ConfigMap", "claims-suite"]["data"]["suite.yml"]
    assert yaml.safe_load(suite) == cluster_suite()
    spec = things["CronJob", "claims"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    for volume in spec["volumes"]:
        name = volume.get("configMap", {}).get("name")
        claim = volume.get("persistentVolumeClaim", {}).get("claimName")
        assert ("ConfigMap", name) in things or ("PersistentVolumeClaim", claim) in things
    assert ("ServiceAccount", spec["serviceAccountName"]) in things
    built = subprocess.run([kubectl, "kustomize", folder / "serve"], capture_output=True)
    assert built.returncode == 0


def test_a_registered_model_is_served_by_its_name_and_not_by_kserve(exporting: Exporting) -> None:
    folder = exporting("kubernetes", model="models:/claims@champion")
    assert not (folder / "kserve").exists()
    (deployment,) = documents(folder / "serve" / "deployment.yaml")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["command"][4] == "models:/claims@champion"
    assert container["env"][0]["value"] == "https://mlflow.example.org"
    assert not (exporting("kubernetes", model=None, out=folder / "x") / "serve").exists()


# --- pipelines -------------------------------------------------------------------------------

SCHEMAS = {
    "github": ["vendor.github-workflows"],
    "gitlab": ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
    "azure-pipelines": [
        "vendor.azure-pipelines", "--data-transform", "azure-pipelines", "--regex-variant",
        "nonunicode",
    ],
}  # fmt: skip


@pytest.mark.parametrize("target", SCHEMAS)
@pytest.mark.parametrize("store", ["./store", "s3://bucket/x"])
def test_pipelines_fit_their_schema(target: str, store: str, exporting: Exporting) -> None:
    (file,) = exporting(target, cluster_suite(store=store)).glob("*.yml")
    tool("check-jsonschema", "--builtin-schema", *SCHEMAS[target], file)


def test_the_workflow_passes_actionlint(exporting: Exporting) -> None:
    actionlint = shutil.which("actionlint", path=f"{Path.home()}/go/bin:/usr/local/bin:/usr/bin")
    if actionlint is None:
        pytest.skip("actionlint cannot be installed by pip")
    file = exporting("github") / "claims.yml"
    done = subprocess.run([actionlint, file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def scripts(folder: Path) -> list[str]:
    """The shell scripts in an artifact."""
    (file,) = (path for path in folder.iterdir() if path.is_file())
    text = file.read_text("utf-8")
    if file.name == "Jenkinsfile":
        return [part[1] for part in re.findall(r"sh ('{1,3})(.*?)\1", text, re.DOTALL)]
    found: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                if key in ("script", "before_script", "bash", "run"):
                    found.extend([item] if isinstance(item, str) else item)
                else:
                    walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(yaml.safe_load(text))
    return found


@pytest.mark.parametrize("target", [*SCHEMAS, "jenkins"])
@pytest.mark.parametrize("codes", [[0], [1], [2], [3], [4, 0], [4, 1], [4, 4, 4]])
def test_pipelines_try_the_machinery_again_and_nothing_else(
    target: str, codes: list[int], exporting: Exporting, tmp_path: Path
) -> None:
    """The script of the artifact itself, with a command in the place of evalmatrix."""
    folder = exporting(target, overrides=["evaluations.claims.min_slice_rows=7"])
    script = next(text for text in scripts(folder) if "evaluate()" in text)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, body in {
        "evalmatrix": 'echo "$@" >>calls; n=$(wc -l <calls); exit $(sed -n "${n}p" codes)',
        "sleep": "true",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(0o755)
    (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
    variables = {"SUITE": "claims.yml", "RUN_ID": "claims-7", "PATH": f"{programs}:/usr/bin:/bin"}
    shell = ["sh", "-ec", script]
    done = subprocess.run(shell, cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert done.returncode == codes[-1], done.stderr
    call = "run claims.yml --run-id claims-7 --set evaluations.claims.min_slice_rows=7"
    assert (tmp_path / "calls").read_text().splitlines() == [call] * len(codes)


@pytest.mark.parametrize("target", [*SCHEMAS, "jenkins"])
def test_pipelines_take_a_new_version_as_data(
    target: str, exporting: Exporting, tmp_path: Path
) -> None:
    script = next(text for text in scripts(exporting(target)) if "evaluate()" in text)
    (tmp_path / "evalmatrix").write_text('#!/bin/sh\nprintf "%s\\n" "$@" >calls\n')
    (tmp_path / "evalmatrix").chmod(0o755)
    name = "a$(touch hacked)'\";touch hacked"
    variables = {
        "SUITE": "claims.yml", "RUN_ID": "x", "MODEL_NAME": name, "MODEL_VERSION": "4",
        "PATH": f"{tmp_path}:/usr/bin:/bin",
    }  # fmt: skip
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, env=variables, check=True)
    called = (tmp_path / "calls").read_text().splitlines()
    if target == "azure-pipelines":
        name = name.replace(" ", "")
    assert called == ["watch", "claims.yml", "--once", "--model-name", name, "--model-version", "4"]
    assert not (tmp_path / "hacked").exists()


def test_gitlab_reads_the_webhook_of_mlflow(exporting: Exporting, tmp_path: Path) -> None:
    script = next(text for text in scripts(exporting("gitlab")) if "evaluate()" in text)
    (tmp_path / "evalmatrix").write_text('#!/bin/sh\necho "$@" >calls\n')
    (tmp_path / "evalmatrix").chmod(0o755)
    (tmp_path / "python").symlink_to(shutil.which("python3") or "")
    payload = '{"entity": "model_version", "data": {"name": "claims", "version": "4"}}'
    (tmp_path / "payload").write_text(payload)
    variables = {
        "SUITE": "claims.yml", "RUN_ID": "x", "TRIGGER_PAYLOAD": str(tmp_path / "payload"),
        "PATH": f"{tmp_path}:/usr/bin:/bin",
    }  # fmt: skip
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, env=variables, check=True)
    wanted = "watch claims.yml --once --model-name claims --model-version 4"
    assert (tmp_path / "calls").read_text().strip() == wanted


# --- others ----------------------------------------------------------------------------------


def test_compose_fits_its_schema(exporting: Exporting) -> None:
    file = exporting("docker-compose", cluster_suite(store="./store")) / "compose.yml"
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", file)
    (compose,) = documents(file)
    services = compose["services"]
    assert set(services) == {"database", "mlflow", "nightly", "site"}
    for service in services.values():
        assert set(service.get("depends_on", {})) <= set(services)
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or source.startswith(".")
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), "nobody else's business"
    assert services["site"]["volumes"] == ["./store/reports:/usr/share/nginx/html:ro"]
    assert services["nightly"]["command"][3].startswith("${RUN_ID:?")


def test_the_image_is_linted(root: Path) -> None:
    tool("hadolint", root / "infrastructure" / "docker" / "Dockerfile")


def test_terraform_is_laid_out_and_parsed(exporting: Exporting) -> None:
    terraform = shutil.which("terraform")
    if terraform is None:
        pytest.skip("terraform cannot be installed by pip")
    folder = exporting("terraform")
    done = subprocess.run([terraform, "fmt", "-check", "-diff", folder], capture_output=True)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert 'default     = "bucket"' in (folder / "variables.tf").read_text()
    (folder / "wrong.tf").write_text('variable "a" {')
    assert subprocess.run([terraform, "fmt", folder], capture_output=True).returncode != 0


@pytest.mark.parametrize("target", ["airflow", "dagster", "sagemaker"])
def test_programs_are_python(target: str, exporting: Exporting) -> None:
    (file,) = exporting(target).glob("*.py")
    compile(file.read_text("utf-8"), file.name, "exec")


@pytest.mark.parametrize(("codes", "deployed"), [([0], True), ([1], False), ([4], False)])
def test_azure_gets_only_what_passed(
    codes: list[int], deployed: bool, exporting: Exporting, tmp_path: Path
) -> None:
    script = exporting("azureml") / "deploy.sh"
    for name, body in {"evalmatrix": f"exit {codes[0]}", "az": 'echo "$@" >>calls'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = subprocess.run(["sh", script, "n-1"], cwd=tmp_path, env=environment, check=False)
    assert done.returncode == codes[0]
    assert (tmp_path / "calls").exists() == deployed
    refused = subprocess.run(["sh", script], env=environment, capture_output=True, text=True)
    assert refused.returncode != 0 and "expected the id of a run" in refused.stderr


# --- what is set over a suite is one word, whatever is in it ---------------------------------

OVERRIDE = "evaluations.claims.slices=[{by: [a b]}, {where: a > 1; touch hacked & x | y#é*!}]"


@pytest.mark.parametrize("target", [*SCHEMAS, "jenkins", "cron", "systemd", "azureml"])
def test_an_override_is_one_word_of_a_shell(
    target: str, exporting: Exporting, tmp_path: Path
) -> None:
    folder = exporting(target, overrides=[OVERRIDE])
    home = tmp_path / "home"
    programs = {"evalmatrix": 'printf "%s\\n" "$@" >>calls', "az": "true"}
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / name).chmod(0o755)
    variables = {
        "SUITE": "claims.yml", "RUN_ID": "x", "EVALMATRIX": str(tmp_path / "evalmatrix"),
        "PATH": f"{tmp_path}:/usr/bin:/bin",
    }  # fmt: skip
    if target in ("cron", "systemd"):
        command = ["sh", str(folder / "claims.sh")]
    elif target == "azureml":
        command = ["sh", str(folder / "deploy.sh"), "x"]
    else:
        command = ["sh", "-ec", next(text for text in scripts(folder) if "evaluate()" in text)]
    subprocess.run(command, cwd=home, env=variables, check=True)
    called = (home / "calls").read_text().splitlines()
    assert (called[:2], called[-2:]) == (["run", "claims.yml"], ["--set", OVERRIDE])
    assert len(called) == 6
    assert not (home / "hacked").exists()


def test_an_override_is_one_argument_of_a_container(exporting: Exporting) -> None:
    def of(target: str, name: str) -> Any:
        return documents(exporting(target, overrides=[OVERRIDE]) / name)[0]

    cron = of("kubernetes", "cronjob.yaml")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    operator = of("spark-operator", "kubeflow/sparkapplication.yaml")["spec"]
    apache = of("spark-operator", "apache/sparkapplication.yaml")["spec"]
    jobs = of("databricks", "resources/jobs.yml")["resources"]["jobs"]
    compose = of("docker-compose", "compose.yml")["services"]["nightly"]
    commands = [
        cron["containers"][0]["args"], operator["arguments"], apache["driverArgs"],
        compose["command"],
        *(task["spark_python_task"]["parameters"] for job in jobs.values()
          for task in job["tasks"]),
    ]  # fmt: skip
    assert [command[-2:] for command in commands] == [["--set", OVERRIDE]] * len(commands)


@pytest.mark.parametrize("target", ["airflow", "dagster", "sagemaker"])
def test_an_override_is_one_text_of_a_program(target: str, exporting: Exporting) -> None:
    (file,) = exporting(target, overrides=[OVERRIDE]).glob("*.py")
    (line,) = re.findall(r"^ARGUMENTS = (.*)$", file.read_text("utf-8"), re.MULTILINE)
    assert ast.literal_eval(line) == ["--set", OVERRIDE]
