"""The Java of this machine: which one Spark would start, and whether it is new enough."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from engine.errors import EvalMatrixError

MIN_JAVA = 17


def java_version() -> int:
    """The major version of the Java that Spark will start.

    Raises:
        EvalMatrixError: when there is none.
    """
    java = find_java()
    text = (
        release_line(java)
        or subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    )
    quoted = text.split('"')[1] if text.count('"') >= 2 else "0"
    parts = quoted.split(".")
    major = parts[1] if parts[0] == "1" and len(parts) > 1 else parts[0]
    return int("".join(filter(str.isdigit, major)) or 0)


def find_java() -> Path:
    """The Java that Spark would start: that of JAVA_HOME, else the one on the PATH.

    Raises:
        EvalMatrixError: when there is none.
    """
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if java is None or not Path(java).exists():
        reason = f"JAVA_HOME is {home!r}" if home else "no `java` on the PATH"
        raise EvalMatrixError(
            f"Spark needs Java {MIN_JAVA} or newer: {reason}; install one, for example "
            "Debian's openjdk-17-jre-headless"
        )
    return Path(java)


def release_line(java: Path) -> str:
    """The line of a Java's own description that has its version: quicker than asking it."""
    try:
        lines = (java.resolve().parent.parent / "release").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return ""
    return next((line for line in lines if line.startswith('JAVA_VERSION="')), "")


def check_java() -> None:
    """Raises EvalMatrixError when Java is missing or too old."""
    version = java_version()
    if version < MIN_JAVA:
        raise EvalMatrixError(
            f"Spark needs Java {MIN_JAVA} or newer, found Java {version}; install one, for example "
            "Debian's openjdk-17-jre-headless, and point JAVA_HOME to it"
        )


def has_java() -> bool:
    """Whether Spark could be started here: a Java is there, and new enough."""
    try:
        check_java()
    except EvalMatrixError:
        return False
    return True
