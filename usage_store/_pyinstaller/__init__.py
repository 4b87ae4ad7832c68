"""Tell PyInstaller what a frozen program needs of this package. PyInstaller finds this by an entry point."""

from pathlib import Path


def hook_folders() -> list[str]:
    """Return the folder that has the hook. Reads only."""
    return [str(Path(__file__).parent)]
