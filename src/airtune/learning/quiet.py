"""Silence for libraries that draw progress bars on a terminal that is not theirs."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch


@contextmanager
def quiet() -> Iterator[None]:
    """Show no bar of transformers, the hub or the GGUF reader."""
    from transformers import modeling_gguf_pytorch_utils as gguf
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with patch.object(gguf, "tqdm", functools.partial(gguf.tqdm, disable=True)):
            yield
    finally:
        if shown:
            logging.enable_progress_bar()


def without_hints() -> None:
    """Keep bitsandbytes, on its first import, from advising kernels that are not used here."""
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
