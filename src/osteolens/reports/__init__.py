"""Pages, charts and the model card, written from stored predictions."""
