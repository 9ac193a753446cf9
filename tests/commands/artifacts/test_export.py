"""What holds of every target: what is refused, what is written, what a suite cannot break."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from engine import InputError, export
from engine.cli.app import app
from engine.commands.artifacts import TARGETS, Target, Wishes, read_facts, render, unfit
from engine.commands.artifacts.facts import slug_of
from engine.commands.artifacts.filters import to_comment, to_python, to_yaml
from engine.commands.artifacts.targets import Place
from engine.errors import EXIT_CODES, StoreError
from engine.suite import load_suite
from tests.fixtures.exports import OPTIONS, cluster_suite

Exporting = Callable[..., Path]
NAMES = TARGETS.names()
CLUSTERS = [target.name for target in TARGETS if target.place is Place.CLUSTER]
CHECKOUTS = [target.name for target in TARGETS if target.place is Place.CHECKOUT]


def content(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- what every artifact has -----------------------------------------------------------------


@pytest.mark.parametrize("target", NAMES)
def test_every_artifact_tells_the_exit_codes(target: str, exporting: Exporting) -> None:
    whole = "\n".join(content(exporting(target)).values())
    for code, meaning in EXIT_CODES.items():
        assert re.search(rf"^(#|//)   {code}  {re.escape(meaning)}$", whole, re.MULTILINE), code


def test_the_exit_codes_are_those_of_the_documents(root: Path) -> None:
    page = (root / "docs" / "semantics.md").read_text("utf-8").split("## Exit codes")[1]
    rows = dict(re.findall(r"^\| (\d) \| (.+?) \|$", page, re.MULTILINE))
    assert {int(code): text for code, text in rows.items()} == EXIT_CODES


@pytest.mark.parametrize("target", NAMES)
def test_the_same_again_is_the_same_bytes(target: str, exporting: Exporting) -> None:
    first = content(exporting(target))
    assert content(exporting(target)) == first


@pytest.mark.parametrize("target", [name for name in NAMES if name != "terraform"])
def test_a_run_has_an_id_that_its_retries_share(target: str, exporting: Exporting) -> None:
    whole = "\n".join(content(exporting(target)).values())
    assert "--run-id" in whole or "run_id=" in whole


def test_every_target_has_its_row_in_the_documents(root: Path) -> None:
    page = (root / "docs" / "export.md").read_text("utf-8")
    assert set(re.findall(r"^\| `([\w-]+)` \|", page, re.MULTILINE)) >= set(NAMES)


# --- files -----------------------------------------------------------------------------------


def test_files_of_others_are_not_replaced(exporting: Exporting) -> None:
    folder = exporting("kubernetes")
    (folder / "cronjob.yaml").write_text("mine", encoding="utf-8")
    (folder / "serviceaccount.yaml").unlink()
    with pytest.raises(InputError, match=r"1 of \d+ files .* 'cronjob|cronjob.yaml'; nothing was"):
        exporting("kubernetes")
    assert not (folder / "serviceaccount.yaml").exists()
    exporting("kubernetes", force=True)
    assert "kind: CronJob" in (folder / "cronjob.yaml").read_text()
    assert list(folder.rglob(".*")) == []


def test_a_file_where_the_folder_should_be(exporting: Exporting, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot be written: .*; choose another"):
        exporting("github", out=tmp_path / "file")


def test_the_command_says_what_it_wrote(exporting: Exporting, tmp_path: Path) -> None:
    exporting("github")
    out = str(tmp_path / "elsewhere")
    ran = CliRunner().invoke(app, ["export", "github", "claims.yml", "--out", out])
    assert ran.exit_code == 0, ran.output
    assert ran.stdout.splitlines()[0] == f"wrote  {out}/claims.yml"
    assert "then: mkdir -p .github/workflows" in ran.stdout
    ran = CliRunner().invoke(app, ["export", "github", "claims.yml", "--out", out])
    assert ran.stdout.startswith(f"is there  {out}/claims.yml")


def test_the_suite_may_be_a_mapping(home: Path, tmp_path: Path) -> None:
    export("kubernetes", cluster_suite(), out=tmp_path / "k")
    assert yaml.safe_load((tmp_path / "k" / "suite.yml").read_text()) == cluster_suite()


# --- templates -------------------------------------------------------------------------------


def test_a_template_takes_the_place_of_one(exporting: Exporting, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "serviceaccount.yaml.j2").write_text("kind: {{ name | yaml }}\n")
    (mine / "more.txt.j2").write_text("{{ slug }} {{ store }}")
    folder = exporting("kubernetes", template=mine)
    assert (folder / "serviceaccount.yaml").read_text() == "kind: claims\n"
    assert (folder / "more.txt").read_text() == "claims s3://bucket/evalmatrix"
    assert "kind: CronJob" in (folder / "cronjob.yaml").read_text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ nmae }}", "the template 'pvc.yaml.j2': 'nmae' is undefined"),
        ("a\n{% if %}", "the template 'pvc.yaml.j2', line 2: "),
        ("a: [b", "the template 'pvc.yaml.j2' gives no YAML, line 1"),
        ("{{ 1 / 0 }}", "the template 'pvc.yaml.j2': ZeroDivisionError"),
        ("{% include 'nowhere' %}", "the template 'pvc.yaml.j2': 'nowhere' not found"),
    ],
)
def test_a_wrong_template_is_one_sentence(
    text: str, message: str, exporting: Exporting, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "pvc.yaml.j2").write_text(text)
    with pytest.raises(InputError, match="^" + re.escape(message)):
        exporting("kubernetes", template=tmp_path / "mine")


def test_a_folder_of_templates_that_is_none(exporting: Exporting, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--template '.*nowhere', expected a folder"):
        exporting("kubernetes", template=tmp_path / "nowhere")
    (tmp_path / "cronjob.yaml").write_text("")
    with pytest.raises(InputError, match=r"found 'cronjob.yaml' .* names that end in '.j2'"):
        exporting("kubernetes", template=tmp_path)


# --- what is refused -------------------------------------------------------------------------


def test_the_help_names_every_target() -> None:
    shown = re.sub(r"[\s│]+", " ", CliRunner().invoke(app, ["export", "--help"]).stdout)
    assert ", ".join(NAMES[:-1]) + f" or {NAMES[-1]}" in shown


@pytest.mark.parametrize("target", [name for name in NAMES if not TARGETS.get(name).ships])
def test_what_reads_the_suite_there_takes_a_file(target: str, home: Path) -> None:
    options = OPTIONS.get(target, {})
    with pytest.raises(InputError, match="found a mapping as the suite, expected a file"):
        export(target, cluster_suite(), **options)


@pytest.mark.parametrize("target", CHECKOUTS)
def test_a_suite_outside_the_folder_is_refused(target: str, home: Path, tmp_path: Path) -> None:
    (tmp_path / "claims.yml").write_text(yaml.safe_dump(cluster_suite()))
    with pytest.raises(InputError, match=r"'\.\./claims.yml' lies outside '.*home', expected one"):
        export(target, "../claims.yml", **OPTIONS.get(target, {}))


def test_columns_that_are_called_like_secrets_are_none(exporting: Exporting, root: Path) -> None:
    suite = cluster_suite()
    suite["evaluations"][0]["dataset"] |= {"sensitive": ["password"], "weight": "token"}
    suite["evaluations"][0]["slices"] = [{"bins": {"secret": [0.25, 0.5]}}, {"by": ["api_key"]}]
    suite["evaluations"][0]["reference"] = {
        "csv": "s3://bucket/*.csv", "columns": {"secret": "string", "token": "double"},
    }  # fmt: skip
    exporting("kubernetes", suite)
    page = (root / "docs" / "suite.md").read_text("utf-8")
    long = page.split("```yaml suite\n")[1].split("```")[0]
    assert list(unfit.secrets(long, Wishes())) == []


def test_an_unknown_target_names_the_nearest_and_all(home: Path) -> None:
    message = r"no target is called 'kubernets'; did you mean 'kubernetes'\?; there are .*cron"
    with pytest.raises(InputError, match=message):
        export("kubernets", cluster_suite())


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("schedule", "61 * * * *", "found --schedule '61"),
        ("schedule", "* * * *", "found --schedule"),
        ("schedule", "*/0 * * * *", "found --schedule"),
        ("schedule", "5-1 * * * *", "found --schedule"),
        ("schedule", "0 3 * * *\nx", "found --schedule"),
        ("schedule", "٣ 3 * * *", "found --schedule"),
        ("timezone", "Europe/Berln", "did you mean 'Europe/Berlin'"),
        ("image", "a b", "found --image 'a b'"),
        ("image", "x\nimage: y", "found --image"),
        ("volume", "20GB", "found --volume '20GB', expected a size such as 20Gi"),
        ("model", "models:/a/{{ x }}", "--model has '{{' in it"),
    ],
)
def test_a_wrong_option_is_told(option: str, value: str, message: str, home: Path) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        export("kubernetes", cluster_suite(), **{option: value})


@pytest.mark.parametrize("target", ["azureml", "sagemaker"])
def test_a_model_to_deploy_is_asked_for(target: str, home: Path) -> None:
    with pytest.raises(InputError, match=f"found no --model, expected one for {target} to deploy"):
        export(target, cluster_suite())
    with pytest.raises(InputError, match="found --model 'x', expected for "):
        export(target, cluster_suite(), model="x")


def test_an_option_that_means_nothing_there_is_told(home: Path) -> None:
    with pytest.raises(InputError, match="found --volume, of which github makes no use; it takes"):
        export("github", cluster_suite(), volume="1Gi")


@pytest.mark.parametrize("target", CLUSTERS)
def test_paths_of_this_machine_are_no_use_on_a_cluster(target: str, home: Path) -> None:
    suite = cluster_suite(store="./store", mlflow={})
    suite["evaluations"][0]["dataset"]["delta"] = "/data/claims"
    suite["evaluations"][0]["reference"] = {"csv": "train-*.csv"}
    suite["evaluations"][0]["models"][0] = {"uri": "./models/a", "name": "claims-v2"}
    suite["evaluations"][0]["models"][1]["uri"] = "file:///m/b"
    with pytest.raises(InputError) as caught:
        export(target, suite)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"the suite cannot run at {target}: 6 reasons"
    wanted = [
        "store: found the path './store'", "dataset: found the path '/data/claims'",
        "reference: found the path 'train-*.csv'", "claims-v2: found the path './models/a'",
        "found the path 'file:///m/b'", "mlflow.tracking_uri: found none",
    ]  # fmt: skip
    assert all(part in line for part, line in zip(wanted, lines[1:], strict=True)), lines


def test_receivers_of_this_machine_are_no_use_on_a_cluster(home: Path) -> None:
    suite = cluster_suite(
        telemetry={"prometheus": "./m.prom", "otlp": "http://localhost:4318",
                   "openlineage": "${LINEAGE}"},
        notify=[{"webhook": "http://127.0.0.1:1/x"}, {"webhook": "${HOOK}"}],
    )  # fmt: skip
    with pytest.raises(InputError) as caught:
        export("kubernetes", suite)
    told = str(caught.value)
    assert "3 reasons" in told and "telemetry.prometheus: found the path './m.prom'" in told
    assert "telemetry.otlp: found 'http://localhost:4318', which is this machine" in told
    assert "notify[0].webhook: found 'http://127.0.0.1:1/x', which is this machine" in told


@pytest.mark.parametrize(
    ("key", "value", "is_path"),
    [
        ("dataset", {"csv": "claims.csv"}, True),
        ("dataset", {"parquet": "claims.parquet"}, True),
        ("dataset", {"delta": "claims"}, True),
        ("dataset", {"delta": "lake.claims"}, False),
        ("dataset", {"delta": "my-catalog.lake.claims"}, False),
        ("dataset", {"delta": "dbfs:/lake/claims"}, False),
        ("dataset", {"csv": "abfss://c@a.dfs.core.windows.net/x/*.csv"}, False),
        ("model", "forest.v3", True),
        ("model", "runs:/0123/model", False),
        ("model", "s3://bucket/models/3", False),
        ("store", "lake", True),
        ("store", "prod.evalmatrix", False),
    ],
)
def test_what_is_a_path(key: str, value: Any, is_path: bool, exporting: Exporting) -> None:
    suite = cluster_suite()
    (evaluation,) = suite["evaluations"]
    if key == "dataset":
        del evaluation["dataset"]["delta"]
        evaluation["dataset"] |= value
    elif key == "model":
        evaluation["models"][0] = {"uri": value, "name": "claims-v2"}
    else:
        suite["store"] = value
    if is_path:
        with pytest.raises(InputError, match=r"1 reason\n.*found the path"):
            exporting("kubernetes", suite)
    else:
        exporting("kubernetes", suite)


@pytest.mark.parametrize(
    ("model", "more", "message"),
    [
        ("./models/a", {}, "--model: found the path './models/a', expected a URI"),
        ("models:/a/1", {"mlflow": {}}, "--model: found 'models:/a/1' and no tracking server"),
    ],
)
def test_a_model_that_no_pod_can_reach(
    model: str, more: dict[str, Any], message: str, exporting: Exporting
) -> None:
    with pytest.raises(InputError, match=message):
        exporting("kubernetes", cluster_suite(**more), model=model, volume="1Gi")


def test_a_target_of_ones_own(home: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "SLUG.txt.j2").write_text("{% include '_head.j2' %}{{ store }}")
    mine = Target(
        "mine", "a text", Place.CLUSTER, "cat {out}", ships=True, folder=tmp_path / "mine"
    )
    files = render(mine, read_facts(mine, cluster_suite(), Wishes(), tmp_path))
    assert sorted(files) == ["claims.txt", "suite.yml"]
    assert files["claims.txt"].endswith("s3://bucket/evalmatrix")


def test_a_volume_has_what_the_suite_has_paths_for(exporting: Exporting) -> None:
    suite = cluster_suite(store="./store", mlflow={})
    suite["evaluations"][0]["dataset"]["delta"] = "store/lake/claims"
    folder = exporting("kubernetes", suite, volume="5Gi", model=None)
    assert yaml.safe_load((folder / "pvc.yaml").read_text())["spec"]["resources"] == {
        "requests": {"storage": "5Gi"}
    }
    suite["evaluations"][0]["dataset"]["delta"] = "../claims"
    with pytest.raises(InputError, match=r"'../claims', expected a path below this folder"):
        exporting("kubernetes", suite, volume="5Gi", model=None)


@pytest.mark.parametrize("target", CHECKOUTS)
def test_paths_outside_are_no_use_to_a_copy_of_the_folder(target: str, home: Path) -> None:
    suite = cluster_suite(store="./store", mlflow={"tracking_uri": "http://localhost:5000"})
    suite["evaluations"][0]["dataset"]["delta"] = "/data/claims"
    with pytest.raises(InputError) as caught:
        export(target, suite, **OPTIONS.get(target, {}))
    assert [line.strip().partition(", ")[0] for line in str(caught.value).splitlines()[1:]] == [
        "evaluations.claims.dataset: found the path '/data/claims'",
        "mlflow.tracking_uri: found 'http://localhost:5000'",
    ]


SECRETS = [
    ("tracking_uri", "https://me:hunter2-hunter2@mlflow.example.org"),
    ("tracking_uri", "postgresql://me:hunter2-hunter2@db/mlflow"),
    ("store", "s3://AKIAABCDEFGHIJKLMNOP@bucket/x"),
    ("store", "https://a.blob.core.windows.net/c?sv=2024&sig=hunter2-hunter2"),
    ("store", "s3://bucket/x?secret=hunter2-hunter2"),
]


@pytest.mark.parametrize("target", NAMES)
@pytest.mark.parametrize(("key", "secret"), SECRETS)
def test_secrets_are_refused_and_not_told(
    target: str, key: str, secret: str, home: Path, tmp_path: Path
) -> None:
    more = {"store": secret} if key == "store" else {"mlflow": {"tracking_uri": secret}}
    (home / "claims.yml").write_text(yaml.safe_dump(cluster_suite(**more), sort_keys=False))
    with pytest.raises(InputError, match=r"line \d+.*(withheld|password).*environment") as caught:
        export(target, "claims.yml", out=tmp_path / "out", **OPTIONS.get(target, {}))
    assert "hunter2" not in str(caught.value)
    assert "AKIA" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_secrets_in_comments_and_overrides_are_refused(home: Path) -> None:
    text = yaml.safe_dump(cluster_suite()) + "# password: hunter2-hunter2\n"
    (home / "claims.yml").write_text(text)
    with pytest.raises(InputError, match=rf"line {len(text.splitlines())}: "):
        export("kubernetes", "claims.yml")
    override = "mlflow.tracking_uri=https://me:hunter2@mlflow.example.org"
    with pytest.raises(InputError, match=r"mlflow.tracking_uri.*environment"):
        export("kubernetes", cluster_suite(), overrides=[override])


def test_variables_of_the_environment_are_no_secrets(exporting: Exporting) -> None:
    suite = cluster_suite()
    suite["evaluations"][0]["models"] = [
        {
            "name": "live", "endpoint": "https://models.example.org", "protocol": "mlflow",
            "headers": {"Authorization": "Bearer ${CLAIMS_TOKEN}"},
        },
        {"uri": "models:/claims/3"},
    ]  # fmt: skip
    suite["evaluations"][0]["models"][0]["like"] = "claims-v3"
    del suite["evaluations"][0]["baseline"]
    workflow = (exporting("github", suite) / "claims.yml").read_text()
    assert "CLAIMS_TOKEN: ${{ secrets.CLAIMS_TOKEN }}" in workflow


# --- nothing of a suite breaks out of its place ----------------------------------------------

NASTY = [
    'a: b "c" \'d\'', "x: y", "{{ 7 * 7 }}", "${{ secrets.X }}", "$(rm -rf /)", "%% `id`",
    "- a", "#", "null", "a kind: Pod", "*/ -->", "日本語 🙂", "'''", '"""',
]  # fmt: skip


def shape(value: Any) -> Any:
    """The keys and lengths of a document, without its texts."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value]
    return type(value).__name__


def structure(folder: Path, slug: str = "claims") -> dict[str, Any]:
    """What the files are: YAML by its shape, Python by its tree, others by their lines."""
    shapes: dict[str, Any] = {}
    for name, text in content(folder).items():
        if name == "suite.yml":
            continue
        text, place = (re.sub(rf"\b{slug}\b", "claims", part) for part in (text, name))
        if name.endswith((".yml", ".yaml")):
            shapes[place] = [shape(item) for item in yaml.safe_load_all(text)]
        elif name.endswith(".py"):
            shapes[place] = [type(node).__name__ for node in ast.walk(ast.parse(text))]
        else:
            shapes[place] = len(text.split("\n"))
    return shapes


@pytest.mark.parametrize("target", NAMES)
def test_names_break_out_of_nothing(target: str, exporting: Exporting, tmp_path: Path) -> None:
    plain = structure(exporting(target))
    for number, name in enumerate(NASTY):
        suite = cluster_suite(name=name)
        suite["evaluations"][0]["name"] = name
        folder = exporting(target, suite, out=tmp_path / f"out{number}")
        assert structure(folder, slug_of(name)) == plain, name
        for text in (text for file, text in content(folder).items() if file != "suite.yml"):
            for expression in ("{{ secrets.X", "{{ 7", "$(rm", "`id"):
                # To Dagster a literal of Python is one.
                assert expression not in text or target == "dagster", f"{name}: {text}"


@pytest.mark.parametrize("target", CHECKOUTS)
@pytest.mark.parametrize("odd", ["a'b.yml", "a$b.yml", "{{ a }}.yml", "a`b.yml", 'a"b.yml'])
def test_syntax_in_paths_is_refused(target: str, odd: str, exporting: Exporting) -> None:
    with pytest.raises(InputError, match=r"the suite's path has .* in it, which schedulers read"):
        exporting(target, file=odd)


@pytest.mark.parametrize("target", [name for name in CHECKOUTS if name != "terraform"])
def test_a_path_with_blanks_is_one_word(target: str, exporting: Exporting) -> None:
    folder = exporting(target, file="my claims, new: a.yml")
    whole = "\n".join(content(folder).values())
    assert re.search(r"""["']my claims, new: a\.yml["']""", whole)


@given(st.text())
@example("🙂\U0001f600 é\x85\u2028\ufeff")
@example("yes")
@example("0o7")
def test_a_yaml_scalar_is_read_back_wherever_it_stands(text: str) -> None:
    from ruamel.yaml import YAML

    written = f"a:\n  - b: {to_yaml(text)}\n  - {{c: {to_yaml(text)}, d: [{to_yaml(text)}]}}\n"
    wanted = {"a": [{"b": text}, {"c": text, "d": [text]}]}
    assert yaml.safe_load(written) == wanted
    assert YAML(typ="safe", pure=True).load(written) == wanted


@given(st.text())
def test_a_python_literal_is_read_back_and_a_comment_is_a_line(text: str) -> None:
    assert ast.literal_eval(to_python(text)) == text
    assert len(f"# {to_comment(text)}".splitlines()) == 1
    assert not re.search(r"[${}]", to_comment(text))


@given(st.text())
def test_a_slug_is_a_label_and_tells_names_apart(text: str) -> None:
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?", slug_of(text))
    assert slug_of(text) == slug_of(text)
    if slug_of(text) == text:
        assert slug_of(text + " ") != text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(name=st.text(min_size=1, max_size=30).filter(lambda text: text.strip() == text))
def test_any_name_that_a_suite_may_have(name: str, exporting: Exporting, tmp_path: Path) -> None:
    suite = cluster_suite(name=name)
    try:
        load_suite(suite)
    except InputError:
        reject()
    folder = exporting("kubernetes", suite, force=True, out=tmp_path / "any")
    wanted = exporting("kubernetes", force=True, out=tmp_path / "plain")
    assert structure(folder, slug_of(name)) == structure(wanted)
    assert json.dumps(shape(suite))


def test_the_repository_has_what_is_exported_for_its_own_suite(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As infrastructure/README.md says that it was made."""
    page = (root / "infrastructure" / "README.md").read_text("utf-8")
    lines = re.findall(
        r"^    evalmatrix (export .*) --out (infrastructure/\S+)$", page, re.MULTILINE
    )
    assert [folder for _, folder in lines] == [
        f"infrastructure/{name}" for name in ("docker", "kubernetes", "terraform", "github")
    ]
    monkeypatch.chdir(root)
    for line, folder in lines:
        out = tmp_path / folder
        ran = CliRunner().invoke(app, [*line.split(), "--out", str(out)])
        assert ran.exit_code == 0, ran.output
        for file, text in content(out).items():
            assert (root / folder / file).read_text("utf-8") == text, f"{folder}/{file}"


def test_options_of_the_tests_are_those_of_targets() -> None:
    for name, options in OPTIONS.items():
        assert set(options) <= TARGETS.get(name).options
