"""Training: a table of films in, a model folder with its evidence out. `osteolens.training.run.fit` is the way in."""
