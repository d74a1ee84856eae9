"""A program for Lightning with its import lines changed, so that it imports Leyden: ``leyden lightning --port``.

Two rules, applied to every import line; the rest of the program stays as it is:

    import lightning as L                         import leyden as L (what L.X means is looked up)
    from lightning.pytorch.<anything> import X    from <where the table has X> import X

What the rules cannot change is said, all of it, and nothing is written then.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module

import leyden
from leyden.errors import ConfigurationError
from leyden.lightning import names
from leyden.lightning.absent import instead
from leyden.lightning.aliases import is_alias, table

_MODULES = {
    "lightning": "leyden",
    "pytorch": "leyden",
    "fabric": "leyden",
    "pytorch.callbacks": "leyden.callbacks",
    "pytorch.loggers": "leyden.loggers",
    "pytorch.profilers": "leyden.profilers",
}
_OFFERED = frozenset(leyden.__all__)


def ported(source: str) -> str:
    """Return *source* with the imports of Lightning replaced.

    Raises:
        ConfigurationError: If something has to be done by hand; says in which lines, and what.
    """
    tree, lines = ast.parse(source), source.splitlines(keepends=True)
    problems: list[str] = []
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    for node in sorted(found, key=lambda node: node.lineno, reverse=True):
        statements = list(_statements(node, tree, problems))
        last = node.end_lineno or node.lineno
        if statements and statements != [ast.unparse(node)]:
            ending = "\n" if lines[last - 1].endswith("\n") else ""
            text = "\n".join(" " * node.col_offset + statement for statement in statements)
            lines[node.lineno - 1 : last] = [text + ending]
    if problems:
        told = "\n".join(f"  {problem}" for problem in sorted(problems, key=lambda told: int(told.split()[1][:-1])))
        raise ConfigurationError(f"{len(problems)} to be changed by hand first (nothing has been written):\n{told}")
    return "".join(lines)


def _statements(node: ast.Import | ast.ImportFrom, tree: ast.Module, problems: list[str]) -> Iterator[str]:
    """Yield what stands in the place of an import; all imports are those of Lightning, or none is changed."""
    if isinstance(node, ast.Import):
        for item in node.names:
            if not is_alias(item.name):
                yield f"import {item.name}" + (f" as {item.asname}" if item.asname else "")
            elif item.asname is None:
                problems.append(_problem(node, f"import {item.name}", f"write import {item.name} as L, and use L"))
            else:
                yield _module(node, item.name, item.asname, tree, problems)
        return
    module = node.module or ""
    if node.level or not is_alias(module):
        return
    by_home: dict[str, list[str]] = {}
    for item in node.names:
        name = item.asname or item.name
        home, there = table()[names.written(module)].get(item.name, ("", ""))
        if home == names.ABSENT:
            problems.append(_problem(node, f"{module}.{item.name}", f"Leyden lacks it. {instead(item.name)}".strip()))
        elif home:
            home = "leyden" if there in _OFFERED else home
            by_home.setdefault(home, []).append(there if there == name else f"{there} as {name}")
        elif is_alias(f"{module}.{item.name}"):
            yield _module(node, f"{module}.{item.name}", name, tree, problems)
        else:
            problems.append(_problem(node, f"{module}.{item.name}", "Lightning has no public name like that"))
    yield from (f"from {home} import {', '.join(found)}" for home, found in by_home.items())


def _module(node: ast.stmt, module: str, name: str, tree: ast.Module, problems: list[str]) -> str:
    """Return the import of Leyden's module under *name*, after a look at what the program takes from it."""
    target = _MODULES.get(names.written(module))
    offered = () if target is None else import_module(target).__all__
    taken = [each for each in ast.walk(tree) if isinstance(each, ast.Attribute) and ast.unparse(each.value) == name]
    problems += [
        _problem(used, f"{name}.{used.attr}", "import it by name: from <its module> import X")
        for used in taken
        if used.attr not in offered
    ]
    return f"import {target or module} as {name}"


def _problem(node: ast.stmt | ast.expr, what: str, remedy: str) -> str:
    return f"line {node.lineno}: {what}: {remedy}"
