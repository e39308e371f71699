"""Reviews of films, answers and maps by experts, and their agreement."""
