"""Everything that knows TorchServe: starting and stopping it, and what its workers do with requests."""
