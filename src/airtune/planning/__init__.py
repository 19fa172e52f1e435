"""The joint plan: cost laws, convergence bound and the exact allocation of resources."""
