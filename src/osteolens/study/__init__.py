"""From a table of films to a model that can be served: audit, cross-validation, report, export, parity, archive."""
