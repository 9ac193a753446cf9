"""What came and went between two versions of a table, as pieces of its files."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path

from engine.data.changes.delta_log import CannotTell, local_commits
from engine.data.changes.net import net
from engine.pieces import NotThisWay
from engine.pieces.difference import MovedPieces, moved_pieces
from engine.pieces.listing import Listing, list_files
from engine.pieces.opening import UnreachableError, UnreadableError, is_file_there
from engine.pieces.pieces import Piece
from engine.pieces.scanning import PieceReader

log = logging.getLogger(__name__)

ReaderOf = Callable[[Listing], PieceReader]


def changed_pieces(
    place: Path | str, versions: tuple[int, int], reader_of: ReaderOf
) -> tuple[MovedPieces, PieceReader]:
    """The rows that came and went from one version of a table to another, and how they are read.

    Rows are read for it only where files of both sides may have the same ones.

    Args:
        place: where the table lies: its folder, or its URI in an object store.
        versions: the version to start from, and that to arrive at; the first may be the later one.
        reader_of: what is read of the rows of a version.

    Raises:
        NotThisWay: where Spark must find them.
    """
    listing = lru_cache(partial(list_files, place))
    pinned = listing(versions[1])
    reader = reader_of(pinned)
    asked = _Asked(place, versions, pinned.table_id, reader, reader_of, listing)
    return _tell(asked), reader


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is asked of a table; the answer is the same for as long as it is this table."""

    place: Path | str
    versions: tuple[int, int]
    table_id: str
    reader: PieceReader
    reader_of: ReaderOf = field(compare=False)
    listing: Callable[[int], Listing] = field(compare=False)


# A run asks while it plans, and when it scans.
@lru_cache(maxsize=4)
def _tell(asked: _Asked) -> MovedPieces:
    place, listing, reader_of = asked.place, asked.listing, asked.reader_of
    first, last = sorted(asked.versions)
    reasons = []
    for steps in _ways(place, first, last):
        try:
            listings = [(listing(start), listing(end)) for start, end in steps]
            _check_alike([*map(listing, {first, last, *chain(*steps)})], reader_of)
            moved = moved_pieces(listings, asked.reader)
            _check_files((*moved.came, *moved.gone))
        except UnreachableError:
            raise
        except (NotThisWay, UnreadableError) as reason:  # the next way may do without it
            reasons.append(str(reason))
            continue
        return moved if first == asked.versions[0] else MovedPieces(moved.gone, moved.came)
    raise NotThisWay(reasons[-1])


def _ways(place: Path | str, first: int, last: int) -> Iterator[list[tuple[int, int]]]:
    """The ways from one version to another: around commits that only rewrote files, or at once."""
    whole = [(first, last)]
    try:
        parts = net(local_commits(place, (first + 1, last)), rewrites=False)
    except CannotTell as reason:
        log.debug("the log lacks commits: %s", reason)
    else:
        steps = [(part.start, part.end) for part in parts]
        if steps != whole:
            yield steps
    yield whole


def _check_alike(listings: Sequence[Listing], reader_of: ReaderOf) -> None:
    """Refuses versions of which the same rows read otherwise."""
    if len({listing.table_id for listing in listings}) > 1:
        raise NotThisWay("the table was replaced since")
    readers = [reader_of(listing) for listing in listings]
    if any(reader.read != readers[0].read for reader in readers):
        raise NotThisWay("the columns that are read were other ones")


def _check_files(pieces: Iterable[Piece]) -> None:
    """Refuses files that are gone: they are not opened before the scan."""
    for piece in pieces:
        if not is_file_there(piece.file.path):
            raise NotThisWay(f"the file {piece.file.path} is gone")
