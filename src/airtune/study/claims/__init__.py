"""The study of the claims: a declared family of scenarios, booked exactly where errors allow it.

    family      the declared ranges (family.json), and the conditions drawn from them
    booking     time and energy of a run under other devices, drives and hardware
    replay      rounds run again on recorded updates, where learning is the same
    histories   what a finished cell keeps of its rounds, and where it reaches a target
    savings     best case, median, share of the family and share of the ceiling
    measures    the three measures of EdgeFlowerTune

``benchmarks/claims.py`` runs the cells and writes docs/claims.md.
"""
