"""Where propagation paths come from: one channel a file, the contract in `base`."""

from airtune.radio.channels.base import Block, Channel, Paths, Transmitters

__all__ = ["Block", "Channel", "Paths", "Transmitters"]
