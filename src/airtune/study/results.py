"""Results of a comparison or a run for Python: the document, its folder, and a table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airtune import record
from airtune.errors import InputError
from airtune.record import names
from airtune.record.documents import ResultsDocument

if TYPE_CHECKING:
    import pandas

_NO_COLUMNS = ("history", "plan", "diverged_seeds", "never_stepped_seeds")
_QUANTILES = ("median", "p10", "p90")


class Results(dict[str, Any]):
    """The content of ``results.json``, with the folder that it is from.

    Examples
    --------
    >>> results = Results({"schemes": {"fixed": {"final_loss": 0.7, "energy_j": {"uplink": 2.0}}}})
    >>> results["schemes"]["fixed"]["final_loss"]
    0.7
    >>> results.to_pandas().loc["fixed", "energy_j.uplink"].item()
    2.0
    """

    def __init__(self, document: Mapping[str, Any], folder: Path | None = None) -> None:
        super().__init__(document)
        self.folder = folder
        """The run folder; None for a document that was not read from one."""

    @property
    def page(self) -> Path | None:
        """The page of the run, where there is one."""
        page = None if self.folder is None else self.folder / names.PAGE
        return page if page is not None and page.is_file() else None

    def to_pandas(self) -> pandas.DataFrame:
        """Return the figures as a pandas table, one row a scheme.

        Columns have the names of the results, parts after a point (``energy_j.uplink``), and
        ``energy_j.total`` and ``latency_s.total`` where there is one seed.  Over several seeds a
        column holds the median, and ``NAME.p10`` and ``NAME.p90`` the 10 and 90 % quantiles.
        ``faster_pct`` and ``less_energy_pct`` are what the proposal saves against the row's scheme.

        Raises
        ------
        InputError
            pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise InputError(
                "to_pandas: needs pandas; install it with: pip install pandas"
            ) from None
        rows = {name: self._row(name, entry) for name, entry in self["schemes"].items()}
        table = pandas.DataFrame.from_dict(rows, orient="index").rename_axis("scheme")
        # What is never reached is NaN in a column of numbers, to be plotted and averaged.
        known = {name for row in rows.values() for name, value in row.items() if value is not None}
        texts = {n for row in rows.values() for n, value in row.items() if isinstance(value, str)}
        numbers = [name for name in table.columns if name in known - texts]
        return table.astype({name: float for name in numbers if table[name].dtype == object})

    def _row(self, scheme: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        row: dict[str, Any] = {}
        for name, value in entry.items():
            if name not in _NO_COLUMNS:
                _flatten(row, name, value)
        for name, savings in (self.get("headline") or {}).items():
            if isinstance(savings, Mapping) and scheme in savings:
                _flatten(row, name, savings[scheme])
        return row


def _flatten(row: dict[str, Any], name: str, value: Any) -> None:
    """Put a figure into a row, parts and quantiles under names of their own."""
    if not isinstance(value, Mapping):
        row[name] = value
    elif set(value) == set(_QUANTILES):
        row[name] = value["median"]
        row |= {f"{name}.{part}": value[part] for part in _QUANTILES[1:]}
    else:
        for part, x in value.items():
            _flatten(row, f"{name}.{part}", x)
        numbers = list(value.values())
        if name in ("energy_j", "latency_s") and all(isinstance(x, int | float) for x in numbers):
            row[f"{name}.total"] = sum(numbers)


def load_results(folder: str | Path) -> Results:
    """Return the results of a run folder.

    Parameters
    ----------
    folder : str or Path
        Of ``airtune run`` or ``compare``.

    Raises
    ------
    InputError
        There are no results of a run in it, or they are of a newer version.
    """
    folder = Path(folder)
    record.check_version(folder)
    document = record.read_document(folder / names.RESULTS, ResultsDocument)
    return Results(document.model_dump(exclude_unset=True), folder)
