"""The targets: where an artifact runs, and what it can reach from there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from engine.core.registry import Registry, did_you_mean
from engine.errors import InputError

TEMPLATES = Path(__file__).parent / "templates"


class Place(StrEnum):
    """What a target sees of the machine on which its artifact is written."""

    MACHINE = "this machine"
    CHECKOUT = "a copy of this folder"
    CLUSTER = "no file of this machine"


@dataclass(frozen=True, slots=True)
class Target:
    """A place to run a suite at.

    `folder` has its templates: each `*.j2` is a file, but for those that begin with `_`, which
    others include. `SLUG` in a file's name is the suite's name. `ships` says that the suite's file
    lies beside the artifact. `options` are those that mean something here, `needs` those that it
    cannot do without; `model` is how a model's URI has to look, `model_form` the same in words.
    `then` is what to do with the files.
    """

    name: str
    summary: str
    place: Place
    then: str
    options: frozenset[str] = frozenset()
    ships: bool = False
    needs: frozenset[str] = frozenset()
    model: re.Pattern[str] | None = None
    model_form: str = ""
    folder: Path | None = None

    @property
    def templates(self) -> Path:
        """Where its templates lie."""
        return self.folder or TEMPLATES / self.name


TARGETS: Registry[Target] = Registry("target", "evalmatrix.exports")

_VERSION = "a version of a registered model: models:/NAME/VERSION"
_TIMED = frozenset({"schedule", "timezone"})


def _add(target: Target) -> None:
    TARGETS.add(target.name, target)


_add(
    Target(
        "kubernetes",
        "a CronJob, a Job, and a Deployment or an InferenceService of a model (kustomize)",
        Place.CLUSTER,
        "kubectl apply -k {out}",
        _TIMED | {"image", "model", "volume"},
        ships=True,
    )
)
_add(
    Target(
        "github",
        "a workflow: on code change, on schedule, on a new model version",
        Place.CHECKOUT,
        "mkdir -p .github/workflows && cp {out}/{slug}.yml .github/workflows/",
        frozenset({"schedule"}),
    )
)
_add(
    Target(
        "gitlab",
        "jobs to include: on code change, on schedule, on a new model version",
        Place.CHECKOUT,
        "cp {out}/{slug}.gitlab-ci.yml . and write in .gitlab-ci.yml: "
        "include: [{slug}.gitlab-ci.yml]",
    )
)
_add(
    Target(
        "azure-pipelines",
        "a pipeline: on code change, on schedule, on a new model version",
        Place.CHECKOUT,
        "cp {out}/{slug}.azure-pipelines.yml . and make a pipeline of it",
        frozenset({"schedule"}),
    )
)
_add(
    Target(
        "jenkins",
        "a Jenkinsfile: on code change, on schedule, on a new model version",
        Place.CHECKOUT,
        "cp {out}/Jenkinsfile . and make a pipeline job of it",
        _TIMED,
    )
)
_add(
    Target(
        "cron",
        "a line of crontab, a script with lock, log and retries, rotation of the log",
        Place.MACHINE,
        "crontab -l | cat - {out}/crontab | crontab -",
        frozenset({"schedule"}),
    )
)
_add(
    Target(
        "systemd",
        "a timer and a service with lock, log and retries, mail on failure",
        Place.MACHINE,
        "cp {out}/*.service {out}/*.timer ~/.config/systemd/user/ && systemctl --user "
        "daemon-reload && systemctl --user enable --now evalmatrix-{slug}.timer",
        _TIMED,
    )
)
_add(
    Target(
        "databricks",
        "a bundle: jobs on schedule, new data and new versions, deployment job, endpoint",
        Place.CLUSTER,
        "cd {out} && databricks bundle validate -t dev --var mail=you@example.org",
        _TIMED | {"model"},
        ships=True,
        model=re.compile(r"models:/[\w.-]+/\d+"),
        model_form=_VERSION,
    )
)
_add(
    Target(
        "spark-operator",
        "a (Scheduled)SparkApplication of Kubeflow's operator, a SparkApplication of Apache's",
        Place.CLUSTER,
        "kubectl apply -k {out}",
        _TIMED | {"image"},
        ships=True,
    )
)
_add(
    Target(
        "docker-compose",
        "an MLflow server with PostgreSQL, the nightly, a site of its reports",
        Place.CHECKOUT,
        "docker compose -f {out}/compose.yml --project-directory . up -d",
        frozenset({"image"}),
    )
)
_add(
    Target(
        "airflow",
        "a DAG: on schedule and when assets are updated; its own asset where the gate passed",
        Place.CHECKOUT,
        "cp {out}/{slug}.py to the folder of DAGs",
        _TIMED,
    )
)
_add(
    Target(
        "dagster",
        "an asset of the verdicts, a check for each evaluation, a schedule",
        Place.CHECKOUT,
        "dagster definitions validate -f {out}/{slug}.py",
        _TIMED,
    )
)
_add(
    Target(
        "sagemaker",
        "a program that evaluates, and deploys a model that passed",
        Place.CHECKOUT,
        "python {out}/deploy.py --role ARN --image URI --run-id ID --dry-run",
        frozenset({"model"}),
        needs=frozenset({"model"}),
        model=re.compile(r"s3://[\w.-]+/\S+"),
        model_form="the model's files: s3://BUCKET/KEY",
    )
)
_add(
    Target(
        "azureml",
        "an endpoint, a deployment, and a script that deploys a model that passed",
        Place.CHECKOUT,
        "sh {out}/deploy.sh RUN_ID",
        frozenset({"model"}),
        needs=frozenset({"model"}),
        model=re.compile(r"models:/[\w-]+/\d+"),
        model_form=_VERSION,
    )
)
_add(
    Target(
        "terraform",
        "what a suite is given on AWS: a bucket, a registry of images, a role",
        Place.CHECKOUT,
        "cd {out} && terraform init && terraform plan",
    )
)


def find_target(name: str) -> Target:
    """A target by its name.

    Raises:
        InputError: when there is none of that name.
    """
    TARGETS.load()
    target = TARGETS.find(name)
    if target is None:
        names = TARGETS.names()
        raise InputError(
            f"no target is called {name!r}{did_you_mean(name, names)}; there are {', '.join(names)}"
        )
    return target
