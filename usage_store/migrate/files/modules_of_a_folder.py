"""Make the modules of a migrations folder importable, but only while migrations are loaded and run."""

from __future__ import annotations

import errno
import os
import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import TYPE_CHECKING, Self

from usage_store.migrate.files.migration import content_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType


class FileLoader(SourceFileLoader):
    """Load a file, also one in a zip archive."""

    def get_data(self, path: str) -> bytes:
        """Return the content of a file. Raises OSError."""
        return content_of(path)


class _Fresh(FileLoader):
    """Load the current content of a file, without cached bytecode."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.get_filename(fullname)), self.path)


class _Source(_Fresh):
    """Load a given source text, so that exactly the text that was read is run."""

    def __init__(self, fullname: str, path: str, source: bytes) -> None:
        super().__init__(fullname, path)
        self._source = source

    def get_data(self, path: str) -> bytes:
        """Return the source text or, for `pkgutil.get_data`, the content of another file. Raises OSError."""
        if path == self.path:
            return self._source
        if not os.path.dirname(path):
            raise FileNotFoundError(errno.ENOENT, "a stored source has no files beside it", path)
        return super().get_data(path)


class Modules:
    """A package with a unique name that represents a folder of migrations.

    Inside its `with` block, the loaded modules are in `sys.modules`, because dataclasses and pickle need that. There
    `from . import _helpers` imports the current content of the folder. The `__init__.py` of the folder is not run.
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
        """Find a module of the package. importlib calls this method."""
        if not self._is_inside(fullname):
            return None
        # A new finder has no old listing of the folder in its cache.
        specs = (
            FileFinder(folder, (_Fresh, SOURCE_SUFFIXES)).find_spec(fullname) or _in_an_archive(fullname, folder)
            for folder in path or ()
        )
        return next((spec for spec in specs if spec is not None), None)

    def load(self, name: str, file_name: str, source: bytes) -> ModuleType:
        """Run a source text as a module of the package, inside the `with` block. Raises what the text raises."""
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


def _in_an_archive(fullname: str, folder: str) -> ModuleSpec | None:
    """Find a module or a package in a folder of a zip archive, as FileFinder finds it in a folder."""
    if os.path.isdir(folder):
        return None
    from usage_store.migrate.files import in_a_zip  # noqa: PLC0415  few programs run from an archive

    name = fullname.rpartition(".")[2]
    listed, inside = in_a_zip.names(folder) or (), os.path.join(folder, name)
    if "__init__.py" in (in_a_zip.names(inside) or () if name in listed else ()):
        file = os.path.join(inside, "__init__.py")
    elif f"{name}.py" in listed:
        file = f"{inside}.py"
    else:
        return None
    return spec_from_file_location(fullname, file, loader=_Fresh(fullname, file))
