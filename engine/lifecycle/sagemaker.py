"""SageMaker's approval of a model package as the target of a promotion, instead of an alias.

What a package holds, evalmatrix cannot look into: that it is the version which was judged is for
the one to know who names both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from engine.core.vocabulary import GateOutcome
from engine.errors import InputError, StoreError
from engine.lifecycle.promotion import assess_version, find_versions
from engine.lifecycle.record import end_of, intent_of, refuse
from engine.lifecycle.request import Ending, Office, PromotionResult, Request
from engine.store.promotions import (
    Action,
    Promotion,
    Step,
    open_promotions,
    read_promotions,
    write_promotion,
)

APPROVED, REJECTED = "Approved", "Rejected"
REGISTRY = "sagemaker"
"""What the promotions table has in the place of a tracking server."""

_ARN = re.compile(r"arn:aws[\w-]*:sagemaker:[\w-]+:\d{12}:model-package/\S{1,500}")
_DESCRIPTION = 1024
_VALUE = 256
# What SageMaker does not take in the value of a property.
_ODD = re.compile(r"[^\w .:/=+\-@]")
_ID = "evalmatrix_promotion"


class Client(Protocol):
    """What is asked of boto3's SageMaker client."""

    def describe_model_package(self, *, ModelPackageName: str) -> Mapping[str, Any]:  # noqa: N803
        """What SageMaker says of a package."""

    def update_model_package(self, **request: Any) -> object:
        """Changes a package."""


def check_arn(arn: str) -> None:
    """Refuses what is no model package's ARN.

    Raises:
        InputError: always then.
    """
    if not _ARN.fullmatch(arn):
        raise InputError(
            f"found sagemaker {arn!r}, expected the ARN of a model package, "
            "arn:aws:sagemaker:REGION:ACCOUNT:model-package/GROUP/VERSION"
        )


def make_client(arn: str) -> Client:
    """boto3's client for the region of a package.

    Raises:
        InputError: when boto3 is not installed.
    """
    try:
        import boto3  # type: ignore[import-not-found]
    except ImportError as error:
        raise InputError(
            "SageMaker is asked by boto3, which is not installed; install it beside evalmatrix: "
            "pip install boto3"
        ) from error
    client: Client = boto3.client("sagemaker", region_name=arn.split(":")[3])
    return client


def approval_request(arn: str, status: str, promotion: Promotion) -> dict[str, Any]:
    """The arguments of `update_model_package` that say a status, and on what evidence."""
    about = {
        _ID: promotion.promotion_id,
        "evalmatrix_model": promotion.model,
        "evalmatrix_version": promotion.version,
        "evalmatrix_digest": promotion.digest,
        "evalmatrix_suite": promotion.suite,
        "evalmatrix_run_id": promotion.run_id,
    }
    said = f"evalmatrix: {promotion.model} version {promotion.version}: {promotion.reason}"
    return {
        "ModelPackageArn": arn,
        "ModelApprovalStatus": status,
        "ApprovalDescription": said[:_DESCRIPTION],
        "CustomerMetadataProperties": {
            key: _ODD.sub("_", one)[:_VALUE] for key, one in about.items() if one
        },
    }


def approve_version(office: Office, request: Request, arn: str, client: Client) -> PromotionResult:
    """Approves a package if the newest verdict on a version says so, rejects it if that failed.

    Where there is no verdict, or one that does not count any more, the package stays as it is.

    Raises:
        InputError: when there is no such model, version, alias or package.
        StoreError: when the store, the registry or SageMaker is out of reach.
    """
    ledger = office.ledger(request.model.name, request.alias)
    with ledger.turn():
        notes = () if request.dry_run else _settle(office, request, arn, client)
        version, champion = find_versions(office, request, ledger)
        assessment = assess_version(office, request, version, champion)
        result = PromotionResult(
            Ending.PROMOTED,
            Action.PROMOTE,
            version.name,
            arn,
            version.version,
            reasons=assessment.reasons,
            notes=tuple(notes),
            evidence=assessment.evidence,
            dry_run=request.dry_run,
        )
        has_failed = any(
            item.gate.outcome is GateOutcome.FAILED and item.version == version
            for item in assessment.evidence
        )
        if not assessment.is_enough:
            if has_failed and not request.dry_run:
                reason = "; ".join(result.reasons)
                intent = replace(_intent(office, request, result, version.digest), reason=reason)
                _ask(arn, lambda: client.update_model_package(
                    **approval_request(arn, REJECTED, intent)))  # fmt: skip
                result = replace(result, notes=(*result.notes, f"SageMaker has it as {REJECTED}"))
            return refuse(office, request, ledger, result)
        if request.dry_run:
            return result
        intent = _intent(office, request, result, version.digest)
        begun = write_promotion(ledger.table, intent, Step.BEGUN)
        _ask(arn, lambda: client.update_model_package(**approval_request(arn, APPROVED, begun)))
        return end_of(result, _end(office, begun, arn, client))


def _intent(office: Office, request: Request, result: PromotionResult, digest: str) -> Promotion:
    ledger = office.ledger(result.model, request.alias)
    intent = intent_of(office, request, ledger, result)
    said = request.reason or f"passed in the run {intent.run_id}"
    return replace(intent, registry=REGISTRY, digest=digest, reason=said)


def _end(office: Office, begun: Promotion, arn: str, client: Client) -> Promotion:
    """Reads back whether the package has what was asked, and writes how it ended."""
    now = _ask(arn, lambda: client.describe_model_package(ModelPackageName=arn))
    about = now.get("CustomerMetadataProperties") or {}
    table = office.tables["promotions"]
    status = now.get("ModelApprovalStatus")
    if about.get(_ID) == begun.promotion_id and status == APPROVED:
        return write_promotion(table, begun, Step.DONE)
    reason = f"SageMaker has {arn} as {status}, which somebody else has set"
    return write_promotion(table, begun, Step.OVERTAKEN, reason=reason)


def _settle(office: Office, request: Request, arn: str, client: Client) -> list[str]:
    """Finds out how promotions ended whose processes were killed."""
    rows = read_promotions(office.tables["promotions"], request.model.name, arn)
    notes = []
    for row in open_promotions(rows):
        ended = _end(office, row, arn, client)
        word = "completed" if ended.step is Step.DONE else "without effect"
        notes.append(f"an approval of version {row.version} that was stopped is {word}")
    return notes


def _ask(arn: str, question: Any) -> Any:
    try:
        return question()
    except Exception as error:
        # Whatever botocore raises: no credentials, no network, no such package.
        said = (str(error).splitlines() or [""])[0][:300]
        raise StoreError(
            f"SageMaker did not answer for {arn}: {type(error).__name__}: {said}; what was begun "
            "is on record, and the next call goes on"
        ) from error
