"""Keep other libraries from writing progress bars and hints to the terminal of airtune."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """Show no progress bar of transformers, the hub or the GGUF reader inside the `with` block."""
    from transformers import modeling_gguf_pytorch_utils as gguf
    from transformers.utils import logging

    shown, bar = logging.is_progress_bar_enabled(), gguf.tqdm
    logging.disable_progress_bar()
    gguf.tqdm = functools.partial(bar, disable=True)
    try:
        yield
    finally:
        gguf.tqdm = bar
        if shown:
            logging.enable_progress_bar()


@contextmanager
def without_remarks() -> Iterator[None]:
    """Show nothing of what transformers and its libraries remark inside the `with` block."""
    from transformers.utils import logging as transformers_logging

    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(level)


@contextmanager
def reports_on_success() -> Iterator[None]:
    """Show what transformers reports only where the `with` block succeeds.

    Where it fails the error says what is wrong, in a message of its own.
    """
    from transformers.utils import logging as transformers_logging

    transformers_logging.get_verbosity()  # sets up the library's handler, if nothing has yet
    handlers = list(logging.getLogger("transformers").handlers)
    held: list[tuple[logging.Handler, logging.LogRecord]] = []

    def holding(handler: logging.Handler) -> Callable[[logging.LogRecord], bool]:
        def hold(record: logging.LogRecord) -> bool:
            held.append((handler, record))
            return False

        return hold

    filters = [holding(handler) for handler in handlers]
    for handler, keep in zip(handlers, filters, strict=True):
        handler.addFilter(keep)
    try:
        yield
    finally:
        for handler, keep in zip(handlers, filters, strict=True):
            handler.removeFilter(keep)
    for handler, record in held:
        handler.handle(record)


def without_hints() -> None:
    """Keep bitsandbytes, on its first import, from advising kernels that are not used here."""
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
