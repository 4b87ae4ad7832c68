"""What `usage_store` shows of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.programs import printed

if TYPE_CHECKING:
    from pathlib import Path


def test_dir_lists_the_public_names(tmp_path: Path) -> None:
    out, _ = printed("import usage_store; print(set(usage_store.__all__) <= set(dir(usage_store)))", cwd=tmp_path)
    assert out == "True\n"
