"""Signatures of model folders, as the command `model_signing` makes them, checked offline."""

from __future__ import annotations

from pathlib import Path

from engine.errors import InputError
from engine.models.artifact import REGISTRATION, SIGNATURE


def signature_problem(folder: Path, public_key: str) -> str | None:
    """Why a model's signature does not hold for its files, as a clause; None where it does.

    Args:
        folder: the model, with the file `model.sig`.
        public_key: the file of the public key, in PEM.

    Raises:
        InputError: when the key cannot be read.
    """
    try:
        from model_signing import hashing, verifying
    except ImportError as error:
        raise InputError(
            f"trust.signed_by needs the library {error.name!r}, which is not installed; install it "
            "here: pip install 'evalmatrix[signing]'"
        ) from error
    file = folder / SIGNATURE
    # What is added by MLflow when a model is downloaded cannot have been signed.
    ignored = [file, folder / REGISTRATION]
    how = hashing.Config()  # type: ignore[no-untyped-call]
    how.set_ignored_paths(paths=ignored, ignore_git_paths=True)
    config = verifying.Config()  # type: ignore[no-untyped-call]
    try:
        config.use_elliptic_key_verifier(public_key=public_key).set_hashing_config(how)
    except Exception as error:  # the library's, cryptography's or the system's
        raise InputError(
            f"trust.signed_by: {public_key!r} cannot be read ({type(error).__name__}); expected "
            "the file of a public key of an elliptic curve, in PEM"
        ) from error
    if not file.is_file():
        return f"it has no signature (no file {SIGNATURE} in its folder)"
    try:
        config.verify(folder, file)
    except Exception as error:  # of the library, of cryptography, or of a file that is none
        return _problem(error)
    return None


def _problem(error: Exception) -> str:
    """What is wrong, without the library's lists of digests."""
    text = str(error)
    if text.startswith("Signature mismatch:"):
        words = {
            "Hash mismatch": "were changed",
            "Extra files": "were added",
            "Missing": "are gone",
        }
        changes = [word for start, word in words.items() if start in text]
        return f"its files are not those that were signed (some {' and some '.join(changes)})"
    if type(error).__name__ == "InvalidSignature" or "ignature" in text or "public key" in text:
        return f"its signature in {SIGNATURE} is not of this key, or was changed"
    return f"its signature in {SIGNATURE} cannot be read ({type(error).__name__})"
