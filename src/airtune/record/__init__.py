"""The run folder: every file name, every document typed, and the way back into a run.

A run folder holds one cell for each scheme and seed (:class:`Cell`).  :mod:`airtune.record.names`
has the names of its files, :mod:`airtune.record.documents` what stands in them.
"""

from airtune.record import documents, names
from airtune.record.cells import Cell
from airtune.record.checkpoint import Arrays, load_checkpoint, save_checkpoint
from airtune.record.documents import SCHEMA_VERSION
from airtune.record.files import (
    Document,
    parse_document,
    read_document,
    read_documents,
    read_json,
    write_document,
    write_json,
    write_text,
)
from airtune.record.folder import (
    RunFolder,
    check_inputs,
    check_resumable,
    check_version,
    create,
    discard_unused,
    lock,
    older_version,
    open_folder,
    remove,
)
from airtune.record.machine import environment, made_with
from airtune.record.metrics import append_metrics, read_history, read_metrics

__all__ = [
    "SCHEMA_VERSION",
    "Arrays",
    "Cell",
    "Document",
    "RunFolder",
    "append_metrics",
    "check_inputs",
    "check_resumable",
    "check_version",
    "create",
    "discard_unused",
    "documents",
    "environment",
    "load_checkpoint",
    "lock",
    "made_with",
    "names",
    "older_version",
    "open_folder",
    "parse_document",
    "read_document",
    "read_documents",
    "read_history",
    "read_json",
    "read_metrics",
    "remove",
    "save_checkpoint",
    "write_document",
    "write_json",
    "write_text",
]
