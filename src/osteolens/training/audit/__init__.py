"""`osteolens audit`: what a data set would let a model learn, or a score claim, that it should not."""
