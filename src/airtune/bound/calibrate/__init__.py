"""Constants of the convergence bound from the model and the data at hand (system-model 6)."""

from airtune.bound.calibrate.constants import calibrate, constants, given_constants

__all__ = ["calibrate", "constants", "given_constants"]
