"""Tables and folders of films: one way to read them, for training, audit and batches."""
