"""The protocol of the poster that this project grew out of, made again, and the same pictures without its leaks."""
