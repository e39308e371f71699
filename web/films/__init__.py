"""Films and their answers: storage, queue, pages, pictures and tables."""
