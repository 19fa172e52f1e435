"""The federated rounds of one scheme and one seed."""
