"""How the tests of the store open one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("partnerbus.testing.store_contract", "partnerbus.testing.store_machine")

from tests.store.maker import EmbeddedMaker  # noqa: E402


@pytest.fixture
async def maker(tmp_path: Path) -> AsyncIterator[EmbeddedMaker]:
    """Opens embedded stores in one folder."""
    maker = EmbeddedMaker(tmp_path / "data")
    yield maker
    await maker.close()
