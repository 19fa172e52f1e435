"""Build wheel and sdist, look into both, and use the wheel as someone who has only that.

    python scripts/check_package.py                  everything, in a new environment
    python scripts/check_package.py --build-only     build and look, install nothing
    python scripts/check_package.py --built          look at and use what lies in dist/
    python scripts/check_package.py --repository OWNER/NAME --ref v1.0
                                                     with a README for the package index: pictures
                                                     and links are absolute
    python scripts/check_package.py --packages-of .venv
                                                     only airtune is installed; the new environment
                                                     takes what it depends on from another one

Both files are left in dist/.  Needs `build` and git; where uv is installed, it installs packages.
TORCH_INDEX may name an index with CPU builds of torch, as for make.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
TINY = (
    *("model.small.hidden=32", "model.small.layers=1", "model.small.heads=2"),
    *("model.small.intermediate=64", "model.lora.rank=2", "pretraining.steps=3"),
    *("training.rounds=2", "training.batch_size_max=4", "evaluation.records=20"),
    *("evaluation.answers=2", "placement.mode=fast"),
)
SETTINGS = tuple(part for assignment in TINY for part in ("--set", assignment))
COMMANDS = (
    ("--version",),
    ("schemes",),
    ("check", "quickstart"),
    ("compare", "quickstart", *SETTINGS, "--schemes", "movable,fixed", "--out", "run"),
)
"""What is typed in an empty folder; the last one trains."""


def absolute(text: str, repository: str, ref: str) -> str:
    """Return a README whose relative pictures and links lead to a repository on GitHub.

    Parameters
    ----------
    text : str
        Markdown.
    repository : str
        ``owner/name``.
    ref : str
        Tag or branch.

    Examples
    --------
    >>> absolute("![a](docs/a.png) [b](docs/b.md#c) [d](#d) [e](https://e.org)", "o/n", "v1")
    '![a](https://raw.githubusercontent.com/o/n/v1/docs/a.png) \
[b](https://github.com/o/n/blob/v1/docs/b.md#c) [d](#d) [e](https://e.org)'
    """

    def lead(found: re.Match[str]) -> str:
        mark, label, target = found.groups()
        if mark:
            return f"![{label}](https://raw.githubusercontent.com/{repository}/{ref}/{target})"
        return f"[{label}](https://github.com/{repository}/blob/{ref}/{target})"

    return re.sub(r"(!?)\[([^\]\[]*)\]\((?!\w+:|#)([^)\s]+)\)", lead, text)


def run(*command: object, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Run a program, print it, and return what it prints; end with its message if it fails."""
    print("$", *command, flush=True)
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=env, text=True, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(f"{done.stdout[-2000:]}{done.stderr[-4000:]}\nends with {done.returncode}")
    return done.stdout


def tracked(*under: str) -> set[str]:
    """Return the files that git has under some folders."""
    return set(run("git", "ls-files", "-z", *under).strip("\0").split("\0"))


def build(repository: str | None, ref: str) -> tuple[Path, Path]:
    """Build sdist and, from it, the wheel; return both."""
    shutil.rmtree(DIST, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        for name in tracked():
            if (ROOT / name).is_file():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, source / name)
        if repository is not None:
            readme = source / "README.md"
            text = absolute(readme.read_text(encoding="utf-8"), repository, ref)
            readme.write_text(text, encoding="utf-8")
        installer = ("--installer", "uv") if find_spec("uv") else ()
        run(sys.executable, "-m", "build", *installer, "--outdir", DIST, source)
    return built()


def built() -> tuple[Path, Path]:
    """Return the wheel and the sdist in dist/; refuse more or fewer files of either kind."""
    wheels, sdists = list(DIST.glob("*.whl")), list(DIST.glob("*.tar.gz"))
    if len(wheels) != 1 or len(sdists) != 1:
        sys.exit(f"{DIST}: holds {len(wheels)} wheels and {len(sdists)} sdists, not one of each")
    return wheels[0], sdists[0]


def look(wheel: Path, sdist: Path) -> None:
    """Refuse a wheel or an sdist that lacks a file or has one that it should not have."""
    with zipfile.ZipFile(wheel) as opened:
        packed = {name for name in opened.namelist() if ".dist-info/" not in name}
    package = {name.removeprefix("src/") for name in tracked("src")}
    refuse(f"{wheel.name} lacks", package - packed)
    refuse(f"{wheel.name} has besides", packed - package)
    with tarfile.open(sdist) as archive:
        held = {n.partition("/")[2] for n in archive.getnames()}
    refuse(f"{sdist.name} lacks", tracked() - held)
    loose = {name for name in held if name.endswith((".pyc", ".lock"))}
    refuse(f"{sdist.name} has besides", loose)
    print(f"{wheel.name}: {len(packed)} files; {sdist.name}: {len(held)} files and folders")


def refuse(what: str, names: set[str]) -> None:
    """End where there are any such files."""
    if names:
        sys.exit(f"{what} {', '.join(sorted(names)[:10])}{' ...' * (len(names) > 10)}")


def install(wheel: Path, folder: Path, packages_of: Path | None) -> Path:
    """Install the wheel in a new environment with the pinned set; return its airtune."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    uv = (sys.executable, "-m", "uv", "pip", "install", "--python", python)
    pip = uv if find_spec("uv") else (python, "-m", "pip", "install", "--quiet")
    if packages_of is not None:
        (theirs,) = packages_of.absolute().glob("lib/python*/site-packages")
        (own,) = folder.glob("lib/python*/site-packages")
        (own / "dependencies.pth").write_text(f"{theirs}\n", encoding="utf-8")
        run(*pip, "--no-deps", "--force-reinstall", wheel)
        return folder / "bin" / "airtune"
    pinned = ("-c", ROOT / "constraints.txt")
    index = os.environ.get("TORCH_INDEX")
    run(*pip, *pinned, "torch", *(("--extra-index-url", index) if index else ()))
    run(*pip, *pinned, wheel)
    return folder / "bin" / "airtune"


def use(airtune: Path, folder: Path) -> None:
    """Type the commands in an empty folder, and look at the run that the last one leaves."""
    folder.mkdir()
    kept = {name: x for name, x in os.environ.items() if name != "PYTHONPATH"}
    for command in COMMANDS:
        printed = run(airtune, *command, cwd=folder, env=kept)
        if not printed.strip():
            sys.exit(f"airtune {command[0]} prints nothing")
    results = json.loads((folder / "run" / "results.json").read_text(encoding="utf-8"))
    if set(results["schemes"]) != {"ideal", "movable", "fixed"}:
        sys.exit(f"the run has other schemes: {sorted(results['schemes'])}")
    if not (folder / "run" / "report.html").is_file():
        sys.exit("the run has no page")


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Build and check wheel and sdist.")
    parser.add_argument("--build-only", action="store_true", help="install nothing")
    parser.add_argument("--built", action="store_true", help="use what lies in dist/")
    parser.add_argument("--repository", metavar="OWNER/NAME", help="for links of the README")
    parser.add_argument("--ref", default="main", help="tag or branch that links lead to")
    parser.add_argument("--packages-of", type=Path, metavar="ENV", help="take dependencies from it")
    asked = parser.parse_args(arguments)
    wheel, sdist = built() if asked.built else build(asked.repository, asked.ref)
    look(wheel, sdist)
    if not asked.build_only:
        with tempfile.TemporaryDirectory() as folder:
            airtune = install(wheel, Path(folder) / "venv", asked.packages_of)
            use(airtune, Path(folder) / "work")
    print(f"good: {wheel.relative_to(ROOT)}, {sdist.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
