"""The import rule that import-linter cannot state: it sees aiohttp as one module, client and server alike."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CLIENT_MODULE = "otaclient/transport/aiohttp_transport.py"
SERVER_MODULES = ("aiohttp.web.", "aiohttp.typedefs.Handler.", "aiohttp.http.HttpProcessingError.")
SERVER_FOLDERS = ("otaclient/emulator", "backends/otaclient_enos/emulator", "backends/otaclient_iotda/emulator")


def test_one_module_imports_the_http_client() -> None:
    """Only the transport imports the client half of aiohttp, only emulators its server half."""
    offenders = [
        f"{name}:{line} imports {imported}"
        for name, line, imported in _aiohttp_imports()
        if not _is_allowed(name, imported)
    ]
    assert not offenders


def _aiohttp_imports() -> Iterator[tuple[str, int, str]]:
    for folder in ("otaclient", "backends"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in _nodes_at_run_time(ast.parse(path.read_text(encoding="utf-8"))):
                for imported in _imported_names(node):
                    if imported.split(".")[0] == "aiohttp":
                        yield path.relative_to(ROOT).as_posix(), getattr(node, "lineno", 0), imported


def _nodes_at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a tree, but not what only type checkers read: an annotation may name aiohttp's session."""
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _nodes_at_run_time(child)


def _imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def _is_allowed(name: str, imported: str) -> bool:
    if name == CLIENT_MODULE:
        return True
    return f"{imported}.".startswith(SERVER_MODULES) and name.startswith(SERVER_FOLDERS)
