"""The air: paths, movable arrays, over-the-air aggregation and the digital baseline.

Pure functions on numpy arrays.  Positions are in wavelengths, everything else in SI units unless a
name says otherwise (`_db`, `_dbm`).
"""
