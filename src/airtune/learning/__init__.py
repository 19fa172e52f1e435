"""Learning: data, the language model with its adapters, client updates, evaluation.

Importing this package loads neither torch nor transformers;
:func:`airtune.learning.learner.prepare` does.
"""
