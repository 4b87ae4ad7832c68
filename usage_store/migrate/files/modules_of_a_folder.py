"""The modules of a folder of migrations: importable while they are loaded and run, and no longer."""

from __future__ import annotations

import os
import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType


class _Fresh(SourceFileLoader):
    """Load a file as it is now, past cached bytecode."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.get_filename(fullname)), self.path)


class _Source(_Fresh):
    """Load one text: what was read is what runs."""

    def __init__(self, fullname: str, path: str, source: bytes) -> None:
        super().__init__(fullname, path)
        self._source = source

    def get_data(self, path: str) -> bytes:  # noqa: ARG002  importlib's signature
        return self._source


class Modules:
    """A package that stands for a folder of migrations, under a name that no other module has.

    Within a `with` block, what was made here is in `sys.modules`, as dataclasses and pickle ask, and `from . import
    _helpers` finds what stands in the folder, as it is now. The folder's own `__init__.py` is not run.
    """

    def __init__(self, folder: str | None) -> None:
        self._package = ModuleType(f"_migrations_{id(self):x}")
        self._package.__path__ = [] if folder is None else [folder]
        self._loaded = {self._package.__name__: self._package}
        self._blocks = 0

    def __enter__(self) -> Self:
        self._blocks += 1
        if self._blocks == 1:
            sys.modules.update(self._loaded)
            sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *_: object) -> None:
        self._blocks -= 1
        if self._blocks == 0:
            sys.meta_path.remove(self)
            own = [name for name in list(sys.modules) if name == self._package.__name__ or self._is_inside(name)]
            self._loaded = {name: sys.modules.pop(name) for name in own}

    def _is_inside(self, name: str) -> bool:
        return name.startswith(f"{self._package.__name__}.")

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002  importlib's signature
        """Find a module of the package; importlib asks."""
        if not self._is_inside(fullname):
            return None
        # Finders that are made anew have not listed the folder yet.
        specs = (FileFinder(folder, (_Fresh, SOURCE_SUFFIXES)).find_spec(fullname) for folder in path or ())
        return next((spec for spec in specs if spec is not None), None)

    def load(self, name: str, file_name: str, source: bytes) -> ModuleType:
        """Run a text as a module of the package, within a block. Raises what it raises."""
        if not self._package.__path__:
            self._package.__path__ = [os.path.dirname(file_name)]
        fullname = f"{self._package.__name__}.{name}"
        while fullname in sys.modules:
            fullname += "_"
        loader = _Source(fullname, file_name, source)
        module = module_from_spec(ModuleSpec(fullname, loader, origin=file_name))
        module.__file__ = file_name
        sys.modules[fullname] = module
        loader.exec_module(module)
        return module
