"""The source of a migration: its checksum, its compressed form in the log, and comparing it with an edited source."""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
import zlib

from usage_store.migrate.files.migration import MOST_BYTES

_MOST_COMPARED = 2**20  # bytes: a parsed text takes about 200 times its size in memory
_DECLARATIONS = ("deletes", "drops")
_REASONS = ("irreversible", "lossy")  # texts for a person and for tests; a run does not depend on them


def checksum(source: bytes) -> str:
    """Return the SHA-256 of a source. The kind of its line endings does not matter."""
    if b"\r" in source:
        source = source.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return hashlib.sha256(source).hexdigest()


def deflated(text: bytes) -> bytes:
    """Return a source compressed, as the log stores it."""
    # A window no larger than the text saves time: for the default window, zlib clears 256 KB of memory.
    window = min(max(len(text).bit_length(), 9), zlib.MAX_WBITS)
    deflate = zlib.compressobj(1, wbits=window, memLevel=1 if window < zlib.MAX_WBITS else zlib.DEF_MEM_LEVEL)
    return deflate.compress(text) + deflate.flush()


def inflated(kept: object) -> bytes:
    """Return the source that the log stored compressed.

    Raises ValueError for damaged data and for a source of more than `MOST_BYTES`, without inflating more than that.
    """
    if isinstance(kept, memoryview):  # as psycopg2 reads bytes
        kept = kept.tobytes()
    if not isinstance(kept, bytes):
        raise ValueError(f"its source is of type {type(kept).__name__}")  # noqa: TRY004  damage, like the others
    inflater = zlib.decompressobj()
    try:
        source = inflater.decompress(kept, MOST_BYTES + 1)
    except zlib.error as error:
        raise ValueError("its source cannot be inflated") from error
    if len(source) > MOST_BYTES:
        raise ValueError(f"its source inflates to more than {MOST_BYTES // 2**20} MB")
    if not inflater.eof:
        raise ValueError("its source is cut off")
    return source


def as_text(source: bytes) -> str:
    """Decode a source as Python does, by its byte order mark or coding line. Wrong bytes become U+FFFD."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        return source.decode(encoding, errors="replace")
    except (SyntaxError, LookupError, ValueError):  # Python would refuse to run this source
        return source.decode(errors="replace")


def harmless_edit(before: bytes, after: bytes) -> str | None:
    """Describe an edit that does not change what the migration does.

    Returns None if the edit may change that, or if a source is longer than 1 MiB.
    """
    if max(len(before), len(after)) > _MOST_COMPARED:
        return None
    try:
        old, new = ast.parse(before), ast.parse(after)
        if ast.dump(old) == ast.dump(new):
            return "in comments or layout only"
        if _gives_reasons(old, new):
            return "only to say why it is `irreversible` or `lossy`"
        return "only to declare more in `deletes` or `drops`" if _declares_more(old, new) else None
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _gives_reasons(old: ast.Module, new: ast.Module) -> bool:
    """Remove the reasons from both modules, and return whether they differ in nothing else.

    Reasons that other code uses are not removed.
    """
    for module in (old, new):
        left = [statement for statement in module.body if not _is_a_reason(statement)]
        if _names(ast.Module(left, [])).isdisjoint(_REASONS):
            module.body = left
    return ast.dump(old) == ast.dump(new)


def _names(module: ast.Module) -> set[str]:
    return {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}


def _is_a_reason(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str())):
            return name in _REASONS
    return False


def _declares_more(old: ast.Module, new: ast.Module) -> bool:
    """Return whether the edit only adds names to `deletes` or `drops`, and no other code uses these two variables."""
    before, after = _taken_out(old), _taken_out(new)
    return (
        ast.dump(old) == ast.dump(new)
        and _names(new).isdisjoint(_DECLARATIONS)
        and all(names <= after.get(declaration, set()) for declaration, names in before.items())
    )


def _taken_out(module: ast.Module) -> dict[str, set[str]]:
    """Remove the declarations `deletes` and `drops` with literal names from a module, and return the names."""
    found: dict[str, set[str]] = {}
    for statement in list(module.body):
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in _DECLARATIONS:
                names = _literal_names(value)
                if names is not None:
                    found[name] = names
                    module.body.remove(statement)
    return found


def _literal_names(value: ast.expr) -> set[str] | None:
    if isinstance(value, ast.Tuple | ast.List | ast.Set):
        names = [element.value for element in value.elts if isinstance(element, ast.Constant)]
        if len(names) == len(value.elts) and all(isinstance(name, str) for name in names):
            return {str(name) for name in names}
    return None
