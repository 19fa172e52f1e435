"""What clients minimise: one objective a file; :mod:`airtune.learning.objectives.base` has the
contract and :data:`airtune.registry.CLIENT_OBJECTIVES` the names."""
