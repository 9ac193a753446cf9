from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.kernel import Models, saved_models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    with saved_models(tmp_path_factory.mktemp("models")) as models:
        yield models
