"""Import a module or an object that is named on the command line. This runs code of the application."""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usage_store.errors import ConfigurationError

if TYPE_CHECKING:
    from types import ModuleType


def import_module(name: str) -> ModuleType:
    """Import a module. Modules of the current folder can be imported too.

    Raises ConfigurationError for any error that the import raises, except KeyboardInterrupt.
    """
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # includes SystemExit, which must not end the program as a success
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"{name}: cannot be imported: {type(error).__name__}: {reason}") from error
    finally:
        with suppress(ValueError):
            sys.path.remove(folder)


def import_object(spec: str) -> Any:
    """Import `package.module:name` or `package.module:name.attribute`. Raises as `import_module`."""
    module, _, name = spec.partition(":")
    try:
        return attrgetter(name)(import_module(module))
    except AttributeError as error:
        raise ConfigurationError(f"{spec}: {module} has no {name}") from error
