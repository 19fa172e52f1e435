"""A package as an installer leaves it: a module and a dist-info folder with entry points."""

from __future__ import annotations

from pathlib import Path


def install(folder: Path, name: str, group: str, entries: dict[str, str], code: str = "") -> None:
    """Write a package of one module into a folder of the path.

    Parameters
    ----------
    folder : Path
        Made if it is not there.
    name : str
        Of the package and its module.
    group : str
        Group of the entry points.
    entries : dict of str to str
        Entry points, name to ``module:attribute``.
    code : str
        Text of the module.
    """
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{entry} = {value}" for entry, value in entries.items()]
    (metadata / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
    (folder / f"{name}.py").write_text(code)
