"""Pieces of files, handed out so that each worker has about as many rows as the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.pieces.data_file import DataFile

# A file is cut where a share ends, unless what is left on one side is so small a part of a share.
_CRUMB = 0.1


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows of a file from the place `start` up to `stop`, deleted ones counted."""

    file: DataFile
    start: int
    stop: int

    @property
    def rows(self) -> int:
        return self.stop - self.start

    @property
    def name(self) -> list[object]:
        """What says which rows these are, for as long as the version of the table is the same."""
        return [self.file.path, self.start, self.stop]


def whole_files(files: Iterable[DataFile]) -> list[Piece]:
    """A piece for each file that has rows."""
    return [Piece(file, 0, file.rows) for file in files if file.live]


def share_pieces(pieces: Sequence[Piece], shares: int) -> list[list[Piece]]:
    """Pieces in so many shares of about equal rows, in their order; large ones are cut.

    No share is without rows.
    """
    rows = sum(piece.rows for piece in pieces)
    if not rows:
        return []
    size = max(-(-rows // shares), 1)
    crumb = int(size * _CRUMB)
    out: list[list[Piece]] = [[]]
    room = size
    for piece in pieces:
        start = piece.start
        while piece.stop - start > room + crumb:
            if room > crumb:
                out[-1].append(Piece(piece.file, start, start + room))
                start += room
            out.append([])
            room = size
        out[-1].append(Piece(piece.file, start, piece.stop))
        room -= piece.stop - start
        if room <= crumb:
            out.append([])
            room = size
    return [share for share in out if share]
