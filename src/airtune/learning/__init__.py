"""Learning: data, the language model with its adapters, client updates, evaluation.

The functions to start from:

    learner.prepare         model and data of a scenario, ready for rounds: a Learner
    client.client_update    one client's update; client.choose draws its mini-batch
    evaluate.evaluate       loss, perplexity and exact match of a model
    server.ServerOptimizer  the contract of the server's step
    data.load_sample        the records shipped with the package; formats.load_records those named
                            by a scenario
    partition.partition     which client holds which records
    sizes.measure           the sizes that a plan needs, without any weights

Importing this package loads neither torch nor transformers;
:func:`airtune.learning.learner.prepare` does.
"""
