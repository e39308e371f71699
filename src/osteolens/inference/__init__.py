"""A film in, an answer out: the reader, the fitted parameters of the card, Grad-CAM, and the runtimes."""
