"""Of which formats a model's folder is: from its files, and from what would load them.

What `MLmodel` says counts against a model only, never for it: a file is of a format because it has
that format's content. All files of the folder count, since what is loaded may load others.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.core.vocabulary import ModelFormat
from engine.models.artifact import REGISTRATION, SIGNATURE, Artifact
from engine.models.trust.archives import archive_formats
from engine.models.trust.loaders import NATIVE, Piece, loaded_pieces
from engine.models.trust.pickles import imports_of, looks_like_pickle

_CODE = (".py", ".pyc", ".pyo", ".pyd", ".so", ".dll", ".dylib", ".sh", ".jar", ".egg", ".whl")
_TEXTS = (".json", ".yaml", ".yml", ".txt", ".md", ".html", ".csv", ".toml", ".cfg", ".ini", ".sig")
_PICKLES = (".pkl", ".pickle", ".cloudpickle", ".joblib", ".pth")
_MAGIC = (
    (b"\x89HDF\r\n\x1a\n", ModelFormat.H5),
    (b"CBM1", ModelFormat.CATBOOST),
    (b"binf", ModelFormat.XGBOOST),
    (b"tree\n", ModelFormat.LIGHTGBM),
)
# Data that no loader runs: Parquet, Arrow, arrays, pictures.
_DATA = (b"PAR1", b"ARROW1", b"\x89PNG", b"\xff\xd8\xff", b"GIF8")
_MOST_SHOWN = 3


def pieces_of(artifact: Artifact) -> list[Piece]:
    """What a model's folder consists of, in the order of its files, each piece once."""
    pieces = [*loaded_pieces(artifact)]
    native = dict(_native_files(artifact))
    for path in sorted(artifact.path.rglob("*")):
        name = path.relative_to(artifact.path).as_posix()
        if path.is_symlink() and path.is_dir():
            # Nobody hashes or ships what it leads to.
            pieces.append(Piece(ModelFormat.OTHER, f"the link {name}"))
        elif path.name == "MLmodel" and path.parent != artifact.path:
            # A loader that is given a path below reads this one.
            pieces.append(Piece(ModelFormat.OTHER, name))
        elif path.is_file():
            pieces += [Piece(kind, name) for kind in _formats(path, native.get(name))]
    return list(dict.fromkeys(pieces))


def pickle_imports(artifact: Artifact, pieces: list[Piece]) -> list[str]:
    """What its pickles import, as far as they tell it."""
    names: dict[str, None] = {}
    for piece in pieces:
        path = artifact.path / piece.what
        if piece.format is ModelFormat.PICKLE and path.is_file():
            with path.open("rb") as file:
                names.update(dict.fromkeys(imports_of(file)))
    return list(names)


def pieces_text(pieces: list[Piece]) -> str:
    """Some pieces in words: `model.pkl is pickle, code/x.py is code`."""
    told = [f"{piece.what} is {piece.format}" for piece in pieces[:_MOST_SHOWN]]
    more = len(pieces) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")


def _native_files(artifact: Artifact) -> Iterator[tuple[str, ModelFormat]]:
    for name, kind in NATIVE.items():
        file = artifact.flavors.get(name, {}).get("data")
        if file:
            yield str(file), kind


def _formats(path: Path, native: ModelFormat | None) -> Iterator[ModelFormat]:
    """The formats of one file by its content; none for what nobody runs."""
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError:
        yield ModelFormat.OTHER
        return
    if path.suffix in _CODE:
        yield ModelFormat.CODE
    elif head.startswith(b"PK\x03\x04"):
        yield from archive_formats(path)
    elif looks_like_pickle(head) or path.suffix in _PICKLES:
        yield ModelFormat.PICKLE
    elif any((place / "saved_model.pb").is_file() for place in list(path.parents)[:2]):
        yield ModelFormat.SAVEDMODEL
    elif path.suffix in (".h5", ".hdf5"):
        yield ModelFormat.H5
    elif known := next((kind for magic, kind in _MAGIC if head.startswith(magic)), None):
        yield known
    elif native is not None:
        yield native
    elif path.suffix == ".npy" and b"'|O'" in head:
        yield ModelFormat.PICKLE
    elif not _is_inert(path, head):
        yield ModelFormat.SAFETENSORS if _is_safetensors(path, head) else ModelFormat.OTHER


def _is_inert(path: Path, head: bytes) -> bool:
    """Whether it is data or a text that only a person or a parser reads."""
    if path.name in ("MLmodel", SIGNATURE, REGISTRATION) or not head:
        return True
    if head.startswith(_DATA) or (path.suffix == ".npy" and head.startswith(b"\x93NUMPY")):
        return True
    return (path.suffix in _TEXTS or "." not in path.name) and b"\0" not in head


def _is_safetensors(path: Path, head: bytes) -> bool:
    """Eight bytes of length, then a header in JSON."""
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 2 <= length <= path.stat().st_size - 8
