"""Holds the calls against botocore's model of the API, and makes them against moto."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.validate import ParamValidator
from moto import mock_aws

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/mlflow:3.17"


class Client:
    """A client whose calls are held against the model of the API; moto knows no updates."""

    def __init__(self) -> None:
        self.client = boto3.client("sagemaker", region_name="eu-central-1")
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name == "get_paginator":
            return self.client.get_paginator

        def call(**arguments: Any) -> None:
            operation = "".join(part.title() for part in name.split("_"))
            shape = self.client.meta.service_model.operation_model(operation).input_shape
            report = ParamValidator().validate(arguments, shape)
            assert not report.has_errors(), report.generate_report()
            self.calls.append(name)
            if name != "update_endpoint":
                getattr(self.client, name)(**arguments)

        return call


def main(folder: Path) -> None:
    """Raises where something is wrong."""
    spec = importlib.util.spec_from_file_location("deploy", folder / "deploy.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with mock_aws():
        client = Client()
        module.deploy(client, module.calls(ROLE, IMAGE, "night-1"))
        endpoint = client.client.describe_endpoint(EndpointName="claims")
        assert endpoint["EndpointConfigName"] == "claims-night-1"
        module.deploy(client, module.calls(ROLE, IMAGE, "night-2"))
        assert client.client.describe_model(ModelName="claims-night-2")
    created = ["create_model", "create_endpoint_config"]
    assert client.calls == [*created, "create_endpoint", *created, "update_endpoint"]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
