"""The live page: a cell to change and look at, and the runs of a folder, in a browser."""
