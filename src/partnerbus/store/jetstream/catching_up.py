"""Where a node begins: with the tables it has, with a copy of the cluster's, or with empty ones."""

import asyncio
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from partnerbus.kernel.errors import ConfigurationError, StoreUnavailable
from partnerbus.kernel.telemetry import Log
from partnerbus.store.jetstream.read_model import ReadModel, adopt_tables, open_tables, remove_tables
from partnerbus.store.jetstream.session import ApiError, Session
from partnerbus.store.jetstream.shelf import Shelf
from partnerbus.store.jetstream.stream import MOVED_IN, Stream, StreamState

NODE = "node"
"""The file with what tells this node from others; whoever starts on the folder is that node."""

FETCHES = 3
"""How often a copy is fetched that is taken away meanwhile."""


def node_name(folder: Path) -> str:
    """The name of the node whose folder that is; a new one if it has none."""
    file = folder / NODE
    try:
        found = file.read_text("utf-8").strip()
    except FileNotFoundError:
        found = ""
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError(f"{file} cannot be read") from None
    if not found:
        found = token_hex(8)
        draft = file.with_suffix(".draft")
        draft.write_text(found, "utf-8")
        draft.replace(file)
    return found


async def current_tables(session: Session, stream: Stream, path: Path, log: Log) -> ReadModel:
    """Tables at `path` from which the stream leads on."""
    state = await stream.state()
    model = await asyncio.to_thread(open_tables, path, stream.id)
    if model.applied > state.last_seq:
        log.error("the stream has lost what was acknowledged", sequence=state.last_seq, ours=model.applied)
    if await leads_on(stream, model, state):
        return model
    await asyncio.to_thread(_throw_away, model)
    for _ in range(FETCHES):
        with suppress(ApiError, StoreUnavailable):
            model = await _tables_anew(Shelf(session, stream), stream, path)
            log.info("tables taken from the cluster", sequence=model.applied)
            return model
    raise StoreUnavailable("The copy of the tables that the cluster keeps cannot be read.")


async def _tables_anew(shelf: Shelf, stream: Stream, path: Path) -> ReadModel:
    """Tables at `path` as in the newest copy from which the stream leads on, or empty ones if it is whole.

    There may be copies of another stream that had its name, or of what it was before a backup was restored.
    """
    for sequence in (*await shelf.sequences(), 0):
        if sequence > (await stream.state()).last_seq:
            continue
        if sequence:
            await shelf.fetch(sequence, path)
        if sequence == MOVED_IN:
            await asyncio.to_thread(adopt_tables, path, stream.id, sequence)
        model = await asyncio.to_thread(open_tables, path, stream.id)
        if model.applied == sequence and await leads_on(stream, model, await stream.state(), is_copy=True):
            return model
        await asyncio.to_thread(_throw_away, model)
    raise ConfigurationError(
        f"The stream {stream.name} begins behind every copy of the tables: "
        "restore it and its copies from a backup."
    )


async def leads_on(stream: Stream, model: ReadModel, state: StreamState, *, is_copy: bool = False) -> bool:
    """Whether the stream has all that comes behind these tables, and they follow from it.

    The last message of a copy may be gone from the stream.
    """
    if not state.first_seq - 1 <= model.applied <= state.last_seq:
        return False
    return (is_copy and model.applied < state.first_seq) or await _is_same(stream, model)


async def _is_same(stream: Stream, model: ReadModel) -> bool:
    """Whether the tables follow from this stream, and not from what it was before a backup was restored."""
    return not model.taken_at or await stream.taken_at(model.applied) == model.taken_at


def _throw_away(model: ReadModel) -> None:
    model.connection.close()
    remove_tables(model.path)
