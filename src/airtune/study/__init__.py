"""Comparisons and sweeps, and the figures computed from their histories.

The functions to start from:

    compare.compare             run the schemes of a scenario and write the run folder with its page
    compare.check               refuse what cannot be run, before any work
    results.load_results        the results of a run folder, also as a pandas table
    cells.execute               run the unfinished cells of a run folder
    sweep.parse_axes, create    read ``--vary`` and make a sweep folder; sweep.execute runs it
    outcomes.cell_figures       the figures of one scheme and one seed
    savings.headline            the proposal against each baseline
    statistics.paired_figures   differences to a baseline, seed by seed
    privacy.spent               epsilon after each round

They are imported from their modules, for example ``from airtune.study.compare import compare``.
"""
