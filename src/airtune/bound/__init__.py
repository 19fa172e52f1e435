"""The convergence bound and what it is made of: pure functions; calibration apart."""
