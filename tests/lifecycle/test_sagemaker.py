"""SageMaker's approval: what would be sent, and when. No test here reaches AWS.

`Packages` stands in for boto3's client, which cannot be installed beside evalmatrix's pins. The
requests were held against botocore's own validator, and played against moto's server, by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine import InputError, promote
from engine.errors import StoreError
from engine.lifecycle import sagemaker
from engine.lifecycle.request import Ending
from engine.store.promotions import Step, read_promotions
from tests.fixtures.verdicts import FAIL, PASS, Court

ARN = "arn:aws:sagemaker:eu-central-1:123456789012:model-package/claims/2"


@dataclass
class Packages:
    """A package as SageMaker keeps it."""

    package: dict[str, Any] = field(
        default_factory=lambda: {"ModelApprovalStatus": "PendingManualApproval"}
    )
    error: Exception | None = None

    def describe_model_package(self, *, ModelPackageName: str) -> Mapping[str, Any]:  # noqa: N803
        assert ModelPackageName == ARN
        return self.package

    def update_model_package(self, **request: Any) -> None:
        assert request.pop("ModelPackageArn") == ARN
        self.package = {**self.package, **request}
        if self.error is not None:
            raise self.error


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> Packages:
    made = Packages()
    monkeypatch.setattr("engine.commands.promote.make_client", lambda arn: made)
    return made


def steps(court: Court) -> list[Step]:
    return [row.step for row in read_promotions(court.tables["promotions"], "claims", ARN)]


def test_a_version_that_passed_is_approved(here: Court, packages: Packages) -> None:
    run = here.judge("2", baseline="1")
    would = promote("claims", suite=here.mapping(), sagemaker=ARN, dry_run=True)
    assert (would.exit_code, packages.package) == (
        0, {"ModelApprovalStatus": "PendingManualApproval"},
    )  # fmt: skip
    result = promote("claims", suite=here.mapping(), sagemaker=ARN)
    assert result.ending is Ending.PROMOTED
    assert packages.package["ModelApprovalStatus"] == "Approved"
    assert packages.package["ApprovalDescription"] == (
        f"evalmatrix: claims version 2: passed in the run {run}"
    )
    about = packages.package["CustomerMetadataProperties"]
    assert about["evalmatrix_digest"] == here.version("claims", "2", "x").digest
    assert (about["evalmatrix_run_id"], about["evalmatrix_version"]) == (run, "2")
    assert steps(here) == [Step.BEGUN, Step.DONE]
    assert here.registry.aliases("claims") == {"champion": "1", "challenger": "2"}


def test_one_that_failed_is_rejected(here: Court, packages: Packages) -> None:
    here.judge("2", [PASS, FAIL], baseline="1")
    result = promote("claims", suite=here.mapping(), sagemaker=ARN)
    assert (result.exit_code, result.notes) == (1, ("SageMaker has it as Rejected",))
    assert packages.package["ModelApprovalStatus"] == "Rejected"
    assert "1 cell failed" in packages.package["ApprovalDescription"]
    assert steps(here) == [Step.REFUSED]


def test_without_a_verdict_it_stays_as_it_is(here: Court, packages: Packages) -> None:
    assert promote("claims", suite=here.mapping(), sagemaker=ARN).exit_code == 1
    here.judge("2", [FAIL], baseline="1")
    here.registry.overwrite("claims", "2", "other files")
    assert promote("claims", suite=here.mapping(), sagemaker=ARN).exit_code == 1
    assert packages.package == {"ModelApprovalStatus": "PendingManualApproval"}


def test_an_answer_that_is_lost_is_found_by_the_next_call(here: Court, packages: Packages) -> None:
    here.judge("2", baseline="1")
    packages.error = TimeoutError("read timeout")
    with pytest.raises(StoreError, match=r"did not answer for arn.*TimeoutError: read timeout"):
        promote("claims", suite=here.mapping(), sagemaker=ARN)
    packages.error = None
    result = promote("claims", suite=here.mapping(), sagemaker=ARN)
    assert "is completed" in result.notes[0]
    assert steps(here) == [Step.BEGUN, Step.DONE, Step.BEGUN, Step.DONE]


def test_names_are_written_as_sagemaker_takes_them() -> None:
    from engine.store.promotions import Action, Promotion

    row = Promotion("id", Action.PROMOTE, "sagemaker", "Schäden #1", ARN, "2", reason="x" * 2000)
    request = sagemaker.approval_request(ARN, "Approved", row)
    assert request["CustomerMetadataProperties"]["evalmatrix_model"] == "Schäden _1"
    assert len(request["ApprovalDescription"]) == 1024


def test_wrong_input_is_told(here: Court) -> None:
    with pytest.raises(InputError, match="expected the ARN of a model package"):
        promote("claims", suite=here.mapping(), sagemaker="arn:aws:s3:::models")
    with pytest.raises(InputError, match="--to-model with --sagemaker"):
        promote("claims", suite=here.mapping(), sagemaker=ARN, to_model="prod")
    with pytest.raises(InputError, match="found --sagemaker with --rollback"):
        promote("claims", suite=here.mapping(), sagemaker=ARN, rollback=True)


def test_boto3_is_asked_for_where_it_is_not(here: Court) -> None:
    with pytest.raises(InputError, match="pip install boto3"):
        promote("claims", suite=here.mapping(), sagemaker=ARN)
