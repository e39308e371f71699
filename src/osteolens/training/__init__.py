"""Films in, a model folder and its stored predictions out; `fit` and `cross_run` are the ways in."""
