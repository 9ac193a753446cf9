"""What a session needs for an object store: jars that are there, or packages; no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.spark import s3a

SDK = s3a.SDK["3.5"]
NAMES = [
    "org.apache.hadoop_hadoop-aws-3.5.0.jar",
    *(f"software.amazon.awssdk_{part}-{SDK}.jar" for part in ("s3", "s3-transfer-manager", "sts")),
    f"software.amazon.awssdk_sdk-core-{SDK}.jar",
    "software.amazon.eventstream_eventstream-1.0.1.jar",
    "org.reactivestreams_reactive-streams-1.0.4.jar",
]


@pytest.fixture
def home(tmp_path: Path) -> str:
    """A Spark with the Hadoop that it carries."""
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "hadoop-client-api-3.5.0.jar").touch()
    return str(tmp_path)


def test_the_jars_are_those_of_the_hadoop_that_spark_carries(home: str, tmp_path: Path) -> None:
    folder = tmp_path / "ivy"
    folder.mkdir()
    assert s3a.find_jars(home, [folder]) is None
    others = [f"software.amazon.awssdk_bundle-{SDK}.jar", "software.amazon.awssdk_s3-2.0.jar"]
    for name in [*NAMES, *others]:
        (folder / name).touch()
    assert s3a.find_jars(home, [tmp_path / "none", folder]) == sorted(
        str(folder / name) for name in NAMES
    )
    (folder / NAMES[2]).unlink()
    assert s3a.find_jars(home, [folder]) is None
    (tmp_path / "jars" / "hadoop-aws-3.5.0.jar").touch()
    assert s3a.find_jars(home, [folder]) == []


def test_packages_leave_out_the_whole_sdk_where_its_parts_are_known(home: str) -> None:
    named, without = s3a.packages(home)
    assert named[0] == "org.apache.hadoop:hadoop-aws:3.5.0"
    assert f"software.amazon.awssdk:s3:{SDK}" in named
    assert "software.amazon.awssdk:bundle" in without
    for jar in Path(home, "jars").glob("*.jar"):
        jar.rename(jar.with_name("hadoop-client-api-9.1.0.jar"))
    named, without = s3a.packages(home)
    assert named == ["org.apache.hadoop:hadoop-aws:9.1.0"]
    assert not any("bundle" in name for name in without)


def test_settings_have_the_address_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-hunter2")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://store.example:9000/")
    told = s3a.settings()
    assert told["spark.hadoop.fs.s3a.endpoint"] == "https://store.example:9000"
    assert told["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "true"
    assert told["spark.hadoop.fs.s3a.endpoint.region"] == "eu-central-1"
    assert "hunter2" not in str(told)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert "spark.hadoop.fs.s3a.endpoint" not in s3a.settings()
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/token")
    provider = s3a.settings()["spark.hadoop.fs.s3a.aws.credentials.provider"]
    assert provider.endswith("WebIdentityTokenFileCredentialsProvider")
