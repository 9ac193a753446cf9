"""What a pickle would do when it is loaded, read from its opcodes: nothing of it is run.

A list of what is bad is always too short. So only one question is answered for sure: whether a
pickle has nothing but tensors. What else it imports is told as a hint.
"""

from __future__ import annotations

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from typing import IO, Any

# What torch.save writes of tensors; each only makes an array of a storage.
_TENSORS = re.compile(
    r"torch\._utils _rebuild_(tensor|tensor_v2|tensor_v3|parameter|parameter_with_state)"
    r"|torch (\w+Storage|Size|device|\w*(float|int|complex|bool|half|double|long)\w*)"
    r"|torch\.storage (UntypedStorage|TypedStorage)"
    r"|torch\.serialization _get_layout"
    r"|collections OrderedDict"
)
# Opcodes by which a pickle imports, but for GLOBAL, which names what in its argument.
_IMPORTS = frozenset({"STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4"})
_MOST_BYTES = 4 * 2**20
_MOST_IMPORTS = 100


def looks_like_pickle(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a pickle of protocol 2 or later."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5


def has_only_tensors(content: bytes) -> bool:
    """Whether a file of `torch.save` has nothing that is loaded but tensors in plain containers."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if name.endswith(".pkl")]
            if not names or any(
                name.endswith((".so", ".py", ".pyc")) for name in archive.namelist()
            ):
                return False
            return all(_is_plain(archive.read(name)) for name in names)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError):
        return False


def _is_plain(content: bytes) -> bool:
    try:
        return all(
            code not in _IMPORTS and (code != "GLOBAL" or _TENSORS.fullmatch(str(argument)))
            for code, argument in _opcodes(io.BytesIO(content))
        )
    except Exception:  # whatever pickletools raises on what is none
        return False


def _opcodes(file: Any) -> Iterator[tuple[str, Any]]:
    for code, argument, _ in pickletools.genops(file):
        yield code.name, argument


def imports_of(file: IO[bytes]) -> list[str]:
    """What a pickle imports, as `module.name`, as far as its opcodes tell it plainly.

    A pickle that means to hide something can: this is a hint for who reads it.
    """
    named: dict[str, None] = {}
    try:
        for name in _names_in(_opcodes(_Head(file))):
            named[name] = None
            if len(named) >= _MOST_IMPORTS:
                break
    except Exception:  # whatever pickletools raises on what is none, or is cut
        return list(named)
    return list(named)


def _names_in(opcodes: Iterator[tuple[str, Any]]) -> Iterator[str]:
    """The names that opcodes import; of a name, module and attribute are pushed as texts before."""
    texts: list[str] = []
    memo: list[str] = []
    last = ""
    for code, argument in opcodes:
        if code in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".", 1)
        elif code == "STACK_GLOBAL":
            yield ".".join(texts[-2:])
        elif code == "MEMOIZE":
            memo.append(last)
            continue
        last = ""
        if code.endswith(("UNICODE", "UNICODE8")):
            last = str(argument)
        elif code in ("BINGET", "LONG_BINGET") and argument < len(memo):
            last = memo[argument]
        if last:
            texts = [*texts[-1:], last]


class _Head:
    """The first bytes of a file: a large model is mostly numbers."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, _MOST_BYTES

    def read(self, size: int = -1) -> bytes:
        if size > self._left:
            raise EOFError
        data = self._file.read(size)
        self._left -= len(data)
        return data

    def readline(self) -> bytes:
        data = self._file.readline(2**16)
        self._left -= len(data)
        return data
