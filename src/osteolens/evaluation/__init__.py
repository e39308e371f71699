"""Stored predictions in, figures with intervals and fitted parameters for the card out."""
