"""The stream that a store is moved from: whose it is, and what to do when it or the folder is lost."""

from partnerbus.kernel.errors import ConfigurationError
from partnerbus.store.embedded.database import DATABASE
from partnerbus.store.embedded.mark import Mark
from partnerbus.store.jetstream.move import Move, connected, this_host
from partnerbus.store.jetstream.session import Session
from partnerbus.store.jetstream.stream import Stream


async def reopen(move: Move, mark_id: str) -> None:
    """Let the cluster's store be one again, as the move `mark_id` has left it, finished or not.

    The folder is not looked at: it may be lost with its host, or be a store by now, and stays what it is.
    Raises `ConfigurationError` if it was not that move which has marked the stream.
    """
    async with connected(move) as session:
        stream = await source_of(move, session, None)
        theirs = stream.mark
        if theirs is None or not theirs.is_source or theirs.id != mark_id:
            why = "it has no mark" if theirs is None else refusal(move, stream, theirs)
            raise ConfigurationError(f"{move.url} was not marked by the move {mark_id}: {why}")
        await stream.set_mark(None)


async def source_of(move: Move, session: Session, mark: Mark | None) -> Stream:
    """The stream, which must be that of the folder's mark: another one of its name is another store."""
    stream = await Stream.find(session)
    if mark is not None and (stream is None or stream.id != mark.stream):
        raise _is_another(move)
    if stream is None:
        raise ConfigurationError(f"{session.cluster} has no store of that name.")
    stream.check()
    return stream


def _is_another(move: Move) -> ConfigurationError:
    said = f"The stream that was being moved to {move.folder} is not at {move.url} any more: "
    if (move.folder / DATABASE).exists():
        return ConfigurationError(
            f"{said}{DATABASE} in that folder is its store, whole, and is one again once moving.* beside it "
            "is removed"
        )
    return ConfigurationError(f"{said}what is in that folder is no store, remove it to begin anew")


def refusal(move: Move, stream: Stream, theirs: Mark) -> str:
    """Why a stream with another mark is not moved, and what to do if who made the mark is lost."""
    said = theirs.refusal(f"The stream {stream.name} of {move.url}")
    if not theirs.is_source:
        return said
    return (
        f"{said}; if that folder is lost, or {move.url} is to be a store again whatever the folder is, "
        f"run this with --discard-mark {theirs.id}"
    )


def is_here(move: Move, theirs: Mark) -> bool:
    """Whether the stream was moved to this very folder, or was being moved."""
    return (theirs.target, theirs.host) == (str(move.folder.absolute()), this_host())


def lost_its_folder(move: Move, theirs: Mark | None) -> bool:
    """Whether the stream was being moved to this very folder, of which that move has left nothing."""
    if theirs is None or not theirs.is_source or theirs.finished_at is not None:
        return False
    return is_here(move, theirs) and not (move.folder / DATABASE).exists()
