"""The layout holds: imports go downwards, files and signatures stay short.

The order of the floors is written here, in FLOORS, and nowhere else; CONTRIBUTING.md shows the same
picture.  A new folder or module of the package gets a place in it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FLOORS = """\
cli
commands
ui
study
report
rounds
planning
scheduling
allocation   schemes   engines   bound.calibrate
bound
radio   placement   learning   record
scenario   npz   track   meter
costs   streams   registry   memory   band
kinds   errors   compiled
"""
"""Who may import whom, from the top: a folder or module of src/airtune uses those on the floors
below its own, never one beside it or above."""

LINES = 400
POSITIONAL, POSITIONAL_OF_KERNELS = 7, 10
TYPE_IGNORES = 10
KERNEL_DECORATORS = {"compiled", "entry", "inner", "intrinsic", "njit", "vectorize"}
NOT_LAZY = (
    *("torch", "transformers", "peft", "accelerate", "datasets", "matplotlib", "jinja2"),
    *("sionna", "ray", "flwr", "opacus", "nicegui", "fastapi", "uvicorn"),
)
"""Libraries that take long to import: the command line and what it imports at once do without."""
MODELS = ("torch", "transformers", "peft", "accelerate", "tokenizers")
MAY_KNOW_MODELS = ("learning", "engines", "bound.calibrate")
TENSORS = {
    ("airtune.radio.channels.sionna_rays", "torch"),
    ("airtune.track.tensorboard", "torch.utils.tensorboard"),
}
"""Who uses torch without a model: Sionna's rays are tensors, and torch writes event files."""

EXCEPTIONS: dict[str, set[str]] = {}
"""What breaks a rule today, by rule.  This list only gets shorter: whoever mends one takes it out,
and the check says which entries are no longer needed."""

RULES = {
    "downwards",
    "circles",
    "models in learning",
    "lazy",
    "short files",
    "short signatures",
    "type: ignore",
}

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "airtune"
CHECKED_FOLDERS = ("src", "tests", "benchmarks", "examples", "scripts")


@dataclass(frozen=True)
class Import:
    """One import in the package, wherever in the file it stands."""

    importer: str
    imported: str
    line: int
    at_once: bool  # when the importing module is imported, not later in a function

    @property
    def place(self) -> str:
        return f"{modules()[self.importer].relative_to(ROOT)}:{self.line}"


@cache
def modules() -> dict[str, Path]:
    """Dotted name of every module of the package to its file."""
    names = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = ("airtune", *path.relative_to(PACKAGE).with_suffix("").parts)
        names[".".join(parts).removesuffix(".__init__")] = path
    return names


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


BLOCKS = (ast.stmt, ast.excepthandler, ast.match_case)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def statements(node: ast.AST, at_once: bool = True) -> Iterator[tuple[ast.AST, bool]]:
    """Every statement under a node, and whether it runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, BLOCKS):
            yield child, at_once
            typing_only = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
            later = isinstance(child, FUNCTIONS) or typing_only
            yield from statements(child, at_once and not later)


@cache
def imports() -> tuple[Import, ...]:
    """Every import of every module: at run time, for type checkers and inside functions alike."""
    found = []
    for name, path in modules().items():
        for node, at_once in statements(tree(path)):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}: imports name the whole package"
                full = [f"{node.module}.{alias.name}" for alias in node.names]
                targets = [known if known in modules() else str(node.module) for known in full]
            else:
                continue
            found += [Import(name, target, node.lineno, at_once) for target in targets]
    return tuple(found)


def inner_imports() -> list[Import]:
    return [one for one in imports() if one.imported.split(".")[0] == "airtune"]


@cache
def floors() -> dict[str, int]:
    """Number of the floor of every folder and module in the picture, 0 on the ground."""
    lines = FLOORS.splitlines()[::-1]
    return {name: floor for floor, line in enumerate(lines) for name in line.split()}


@cache
def room(module: str) -> str | None:
    """The name in the picture that a module belongs to; the longest that fits."""
    parts = module.split(".")[1:]
    names = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return next((name for name in names if name in floors()), None)


def judge(rule: str, offences: dict[str, str]) -> None:
    """Fail for what breaks a rule and is no known exception, and for exceptions that are mended.

    `offences` maps what EXCEPTIONS would list to the message.
    """
    known = EXCEPTIONS.get(rule, set())
    new = [offences[key] for key in sorted(set(offences) - known)]
    mended = sorted(known - set(offences))
    assert not new, "\n".join([f"{len(new)} against the rule {rule!r}:", *new])
    assert not mended, "\n".join([f"take out of EXCEPTIONS[{rule!r}], it is mended:", *mended])


def test_every_module_has_its_floor() -> None:
    assert not (unknown := set(EXCEPTIONS) - RULES), f"EXCEPTIONS names no rule: {unknown}"
    homeless = [name for name in modules() if name != "airtune" and room(name) is None]
    assert not homeless, f"give them a place in FLOORS: {homeless}"
    empty = [name for name in floors() if f"airtune.{name}" not in modules()]
    assert not empty, f"FLOORS names what is not there: {empty}"


def test_imports_go_downwards() -> None:
    offences = {}
    for one in inner_imports():
        user, used = room(one.importer), room(one.imported)
        if one.importer == "airtune":  # the public names, loaded on use, are above everything
            continue
        key = f"{one.importer} -> {one.imported}"
        if one.imported == "airtune":
            offences[key] = f"{one.place}: name the module, not the package as a whole"
        elif user and used and user != used and floors()[user] <= floors()[used]:
            side = "beside" if floors()[user] == floors()[used] else "above"
            offences[key] = f"{one.place}: {user} imports {one.imported}, which is {side} it"
    judge("downwards", offences)


def test_no_circle_of_modules() -> None:
    graph: dict[str, set[str]] = {name: set() for name in modules()}
    for one in inner_imports():
        if one.importer not in (one.imported, "airtune"):
            graph[one.importer].add(one.imported)
    offences = {" <-> ".join(circle): "  ".join(circle) for circle in circles(graph)}
    judge("circles", offences)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Sets of modules that reach one another (strongly connected components, Tarjan 1972)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    components = []

    def visit(node: str) -> None:
        index[node] = lowest[node] = len(index)
        stack.append(node)
        for successor in sorted(graph[node]):
            if successor not in index:
                visit(successor)
            if successor in stack:
                lowest[node] = min(lowest[node], lowest[successor])
        if lowest[node] == index[node]:
            start = stack.index(node)
            components.append(sorted(stack[start:]))
            del stack[start:]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return [component for component in components if len(component) > 1]


def test_circles_are_seen() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"a"}}
    assert circles(graph) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set()}) == []


def test_the_radio_wing_knows_no_language_model() -> None:
    offences = {}
    for one in imports():
        if (one.importer, one.imported) in TENSORS:
            continue
        if one.imported.split(".")[0] in MODELS and room(one.importer) not in MAY_KNOW_MODELS:
            key = f"{one.importer} -> {one.imported}"
            offences[key] = f"{one.place}: imports {one.imported}"
    judge("models in learning", offences)


def test_heavy_libraries_wait_until_they_are_used() -> None:
    """Follow what `airtune --help` imports at once."""
    reached: set[str] = set()
    waiting = ["airtune.cli", "airtune.commands.calling"]
    at_once: dict[str, list[Import]] = {}
    for one in imports():
        if one.at_once:
            at_once.setdefault(one.importer, []).append(one)
    offences = {}
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        parents = [name.rsplit(".", n)[0] for n in range(1, name.count(".") + 1)]
        waiting += [parent for parent in parents if parent in modules()]
        for one in at_once.get(name, []):
            if one.imported in modules():
                waiting.append(one.imported)
            elif one.imported.split(".")[0] in NOT_LAZY:
                key = f"{name} -> {one.imported}"
                offences[key] = f"{one.place}: {one.imported} is imported for airtune --help"
    assert "airtune.errors" in reached
    judge("lazy", offences)


def test_files_are_short() -> None:
    offences = {}
    for folder in CHECKED_FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            count = len(path.read_text(encoding="utf-8").splitlines())
            if count >= LINES:
                name = path.relative_to(ROOT).as_posix()
                offences[name] = f"{name}: {count} lines, fewer than {LINES} are allowed"
    judge("short files", offences)


def decorators(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    calls = (node.func if isinstance(node, ast.Call) else node for node in function.decorator_list)
    return {ast.unparse(node).rsplit(".", 1)[-1] for node in calls}


def test_signatures_are_short() -> None:
    offences = {}
    for module, path in modules().items():
        for node, _ in statements(tree(path)):
            if not isinstance(node, FUNCTIONS):
                continue
            count = len(node.args.posonlyargs) + len(node.args.args)
            kernel = bool(decorators(node) & KERNEL_DECORATORS)
            most = POSITIONAL_OF_KERNELS if kernel else POSITIONAL
            if count > most:
                where = f"{path.relative_to(ROOT)}:{node.lineno}"
                offences[f"{module}.{node.name}"] = (
                    f"{where}: {node.name} takes {count} positional parameters, "
                    f"at most {most} are allowed{' for a kernel' if kernel else ''}"
                )
    judge("short signatures", offences)


def test_type_ignores_are_few_and_give_a_reason() -> None:
    offences, total = {}, 0
    for path in modules().values():
        name = path.relative_to(ROOT).as_posix()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if "type: ignore" not in line:
                continue
            total += 1
            if not re.search(r"# type: ignore\[[\w, -]+\]\s+# (?!noqa)\w.{5,}", line):
                offences[name] = f"{name}:{number}: write `# type: ignore[code]  # why`"
    if total > TYPE_IGNORES:
        offences["total"] = f"{total} in the package, at most {TYPE_IGNORES} are allowed"
    judge("type: ignore", offences)


def test_contributing_shows_the_same_floors() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    pictures = re.findall(r"<!-- floors -->\n+```text\n(.*?)```", text, re.DOTALL)
    assert pictures == [FLOORS], "copy FLOORS of this file between the marks in CONTRIBUTING.md"
