"""Starts, watches and stops TorchServe; its quirks stay here and in handlers/."""
