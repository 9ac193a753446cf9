"""A page as PDF, printed by a browser of this machine."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from engine.core.signals import exit_signal_text
from engine.errors import InputError, StoreError

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome", "microsoft-edge")
_SECONDS = 120.0


def find_browser() -> str:
    """A browser that prints.

    Raises:
        InputError: when there is none on the path.
    """
    for name in _BROWSERS:
        if (path := shutil.which(name)) is not None:
            return path
    raise InputError(
        f"a PDF is printed by a browser, and none of {', '.join(_BROWSERS)} is on the path; "
        "install one, or leave --pdf out and print the page"
    )


def print_page(browser: str, page: Path, pdf: Path) -> None:
    """Prints a page of HTML into a PDF.

    Raises:
        StoreError: when the browser fails.
    """
    with tempfile.TemporaryDirectory() as profile:
        command = [
            browser, "--headless", "--disable-gpu", "--no-pdf-header-footer", "--no-sandbox",
            f"--user-data-dir={profile}", f"--print-to-pdf={pdf.resolve()}",
            page.resolve().as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, check=False, timeout=_SECONDS,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise StoreError(f"{browser} did not print {str(page)!r} in {_SECONDS:g} s") from None
        except OSError as error:
            raise StoreError(f"{browser} could not be run: {error.strerror}") from error
    if done.returncode or not pdf.is_file():
        how = f"ended with {done.returncode}"
        if done.returncode < 0:
            how = exit_signal_text(-done.returncode)
        raise StoreError(f"{browser} did not print {str(page)!r}: {how}")
