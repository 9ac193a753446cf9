"""What a user does in a notebook, in a process of its own: all of it is printed.

Called with a suite whose run `night` was killed, a folder of suites that fail, and the store. The
run is completed by the command first.
"""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import engine
from engine.cli.app import app


def show(*lines: object) -> None:
    for line in lines:
        print(line)


def command(*args: str) -> None:
    code = app(args, standalone_mode=False)
    show(f"$ {' '.join(args)}: {code}")


def main(killed: str, folder: Path, store: str) -> None:
    command("run", killed, "--resume", "night")
    result = engine.judge(store=store)
    show(result, result._repr_html_(), result.to_pandas().to_string())
    show(engine.results(store=store).to_string())
    show(engine.explain("latest", "quotes/overall/accuracy", store=store))
    for suite in sorted(folder.glob("*.yml")):
        try:
            engine.run(suite)
        except Exception:
            # As a notebook does, with all the causes.
            show(f"! {suite.stem}", traceback.format_exc())
    for name in ("by", "cast", "typed"):
        command("run", str(folder / f"{name}.yml"))
    for kind in ("table", "csv", "json"):
        command("results", "--store", store, "--format", kind)
    command("report", "--store", store)
    command("judge", "latest", "--store", store)
    command("explain", "latest", "frame/overall/accuracy", "--store", store)
    command("forget", "--store", store, "--key", "7")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
