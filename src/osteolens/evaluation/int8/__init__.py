"""Guard of int8: are answers and maps of the quantised graph still those of the model?"""
