"""Packs a Python environment for Spark's workers: this Python, evalmatrix, a model's frameworks.

    .venv/bin/python infrastructure/pack.py --flavors sklearn --out dist/environment.tar.gz
    spark-submit --archives dist/environment.tar.gz#environment \
        --conf spark.pyspark.python=./environment/bin/python ...

The archive is complete: it holds a copy of the Python that runs this script, so a worker needs no
Python of its own and no path of this machine, but the same kind of machine (system, processor, a C
library at least as new). It has what a worker imports and no more: neither MLflow's server, nor
Matplotlib, nor PySpark, which Spark brings along. The versions are those of requirements.txt.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# What the engine imports in a worker (setup.py: CORE without what is of the driver alone).
CORE = ("numpy", "scipy", "pandas", "pyarrow", "pydantic", "PyYAML")
# What the engine imports beside Spark, and does not use in a worker.
ALONE = ("delta-spark",)
FLAVORS = {
    "sklearn": ("scikit-learn", "skops"),
    "tensorflow": ("tensorflow",),
    "torch": ("torch",),
    # Models that are loaded by MLflow itself; the library that they were made with comes by --add.
    "pyfunc": ("mlflow-skinny",),
}
# Of the standard library, what no worker needs.
LEFT_OUT = ("__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip",
            "site-packages", "dist-packages", "config-*")  # fmt: skip

# Python finds its library beside its executable. A shared libpython is found by a path that is
# written into the executable, which names a place of this machine, so the wrapper names another.
WRAPPER = """#!/bin/sh
here="$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)"
LD_LIBRARY_PATH="$here/../lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
export LD_LIBRARY_PATH
unset PYTHONHOME
exec "$here/%s" "$@"
"""


def copy_python(target: Path) -> Path:
    """Copies the base Python of this process into a folder; gives the wrapper that starts it."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    (target / "bin").mkdir(parents=True)
    shutil.copy(Path(sys._base_executable).resolve(), target / "bin" / name)
    library = target / "lib" / name
    ignored = shutil.ignore_patterns(*LEFT_OUT)
    shutil.copytree(sysconfig.get_path("stdlib"), library, ignore=ignored, symlinks=False)
    (library / "site-packages").mkdir()
    # Debian's Python looks for packages under another name.
    (library / "dist-packages").symlink_to("site-packages")
    shared = sysconfig.get_config_var("INSTSONAME") or ""
    places = [sysconfig.get_config_var("LIBDIR"), str(Path(sys.base_prefix) / "lib")]
    for place in filter(None, places):
        found = Path(place) / shared
        if ".so" in shared and found.is_file():
            shutil.copy(found, target / "lib" / shared)
            break
    wrapper = target / "bin" / "python"
    wrapper.write_text(WRAPPER % name)
    wrapper.chmod(0o755)
    return wrapper


def uv(*arguments: str | Path) -> None:
    """Runs uv, with its messages only where it fails."""
    command = [sys.executable, "-m", "uv", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"evalmatrix: {' '.join(command)} failed:\n{done.stderr}")


def build_wheel(folder: Path) -> Path:
    """Builds the wheel of this checkout, from a copy, so that nothing is left in it."""
    source = folder / "source"
    source.mkdir()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(
        ROOT / "engine", source / "engine", ignore=shutil.ignore_patterns("__pycache__")
    )
    uv("build", "--wheel", "--no-build-isolation", "--out-dir", folder, source,
       "--python", sys.executable)  # fmt: skip
    (wheel,) = folder.glob("evalmatrix-*.whl")
    return wheel


def install(site: Path, packages: list[str], wheel: str) -> None:
    """Installs packages, as requirements.txt pins them, and the wheel without what it names."""
    here = ("pip", "install", "--python", sys.executable, "--target", site, "--link-mode", "copy")
    uv(*here, "--constraint", ROOT / "requirements.txt", *packages)
    uv(*here, "--constraint", ROOT / "requirements.txt", "--no-deps", *ALONE, wheel)
    for path in (*site.rglob("__pycache__"), *site.glob("bin")):
        shutil.rmtree(path, ignore_errors=True)


def pack(out: Path, flavors: list[str], added: list[str], wheel: str | None) -> Path:
    """Makes the archive and gives its path."""
    packages = [*CORE, *(name for flavor in flavors for name in FLAVORS[flavor]), *added]
    with tempfile.TemporaryDirectory(prefix="evalmatrix-pack-") as temporary:
        folder = Path(temporary)
        environment = folder / "environment"
        python = copy_python(environment)
        (library,) = (environment / "lib").glob("python3.*")
        site = library / "site-packages"
        install(site, packages, wheel or str(build_wheel(folder)))
        check(python)
        out.parent.mkdir(parents=True, exist_ok=True)
        part = out.with_name(f"{out.name}.part")
        # Wheels do not compress well, and a cluster's network is quicker than a slow compression.
        with tarfile.open(part, "w:gz", compresslevel=1) as archive:
            archive.add(environment, ".")
        part.replace(out)
    return out


def check(python: Path) -> None:
    """Ends when the packed Python cannot import what a worker imports."""
    code = (
        "from engine.execution.kernel import scan; import sys; assert sys.prefix in scan.__file__"
    )
    done = subprocess.run([python, "-Ic", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"evalmatrix: the packed Python cannot import the engine: {done.stderr}")


def main() -> None:
    """Reads the arguments and packs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--flavors",
        default="sklearn",
        help=f"of the models, with commas between: {', '.join(FLAVORS)} (default: sklearn)",
    )
    parser.add_argument(
        "--add", action="append", default=[], metavar="PACKAGE", help="one more, such as xgboost"
    )
    parser.add_argument("--wheel", help="evalmatrix' wheel; default: built from this checkout")
    parser.add_argument("--out", type=Path, default=ROOT / "dist" / "environment.tar.gz")
    chosen = parser.parse_args()
    flavors = [name for name in re.split(r"[,\s]+", chosen.flavors) if name]
    unknown = sorted(set(flavors) - set(FLAVORS))
    if unknown:
        parser.error(f"unknown flavors: {', '.join(unknown)}; known: {', '.join(FLAVORS)}")
    out = pack(chosen.out.absolute(), flavors, chosen.add, chosen.wheel)
    sys.stdout.write(f"{out} ({out.stat().st_size / 2**20:.0f} MiB)\n")


if __name__ == "__main__":
    main()
