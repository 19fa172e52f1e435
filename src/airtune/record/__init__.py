"""The run folder: every file name, every document typed, and the way back into a run.

A run folder holds one cell for each scheme and seed (:class:`Cell`).  :mod:`airtune.record.names`
has the names of its files, :mod:`airtune.record.documents` what stands in them.
"""

from airtune.record import documents, names
from airtune.record.begin import begin, create, create_within, discard_unused, remove
from airtune.record.cells import Cell
from airtune.record.checkpoint import Arrays, load_checkpoint, save_checkpoint
from airtune.record.documents import SCHEMA_VERSION
from airtune.record.files import (
    Document,
    parse_document,
    read_document,
    read_documents,
    read_json,
    read_text,
    write_document,
    write_json,
)
from airtune.record.finished import check_cell, finish_cell
from airtune.record.folder import (
    RunFolder,
    check_inputs,
    check_resumable,
    check_version,
    clean_folder,
    older_version,
    open_folder,
    read_environment,
)
from airtune.record.inputs import check_prepared, file_digests, swept_files
from airtune.record.locks import lock, lock_if_free, lock_in_turn
from airtune.record.machine import add_reading, environment, made_with, quoted
from airtune.record.metrics import append_metrics, read_history, read_metrics
from airtune.record.whole import own_folders, refuse_links_out, write_bytes, write_text, writing

__all__ = [
    "SCHEMA_VERSION",
    "Arrays",
    "Cell",
    "Document",
    "RunFolder",
    "add_reading",
    "append_metrics",
    "begin",
    "check_cell",
    "check_inputs",
    "check_prepared",
    "check_resumable",
    "check_version",
    "clean_folder",
    "create",
    "create_within",
    "discard_unused",
    "documents",
    "environment",
    "file_digests",
    "finish_cell",
    "load_checkpoint",
    "lock",
    "lock_if_free",
    "lock_in_turn",
    "made_with",
    "names",
    "older_version",
    "open_folder",
    "own_folders",
    "parse_document",
    "quoted",
    "read_document",
    "read_documents",
    "read_environment",
    "read_history",
    "read_json",
    "read_metrics",
    "read_text",
    "refuse_links_out",
    "remove",
    "save_checkpoint",
    "swept_files",
    "write_bytes",
    "write_document",
    "write_json",
    "write_text",
    "writing",
]
