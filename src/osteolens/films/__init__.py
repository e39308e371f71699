"""Bytes of any supported picture -> one checked grey film -> the model's input, and maps back on the film."""
