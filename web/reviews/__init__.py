"""What experts say about films, answers and maps, and how far they agree."""
