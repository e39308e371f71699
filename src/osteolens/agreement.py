"""Agreement of people, or models, on the labels of the same films, beyond chance.

Each figure is computed for many tables at once, so that one implementation gives the value and all its bootstrap
resamples; where it is not defined (all labels are the same) it is NaN.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def cohen_kappa(tables: Floats) -> Floats:
    """Cohen's kappa of two raters.

    kappa = (p_o - p_e) / (1 - p_e): p_o the share of films on the diagonal, p_e the sum over labels of the product of
    both raters' shares of that label.

    Source: J. Cohen, A coefficient of agreement for nominal scales, Educ. Psychol. Meas. 20 (1960) 37-46.

    Args:
        tables: float64 [..., K, K], films by the label of the first rater (rows) and of the second (columns).

    Returns:
        float64 [...], at most 1; NaN for an empty table and where p_e is 1.
    """
    total = tables.sum(axis=(-2, -1))
    same = np.trace(tables, axis1=-2, axis2=-1) * total
    chance = (tables.sum(axis=-1) * tables.sum(axis=-2)).sum(axis=-1)
    return _share(same - chance, total**2 - chance)


def fleiss_kappa(counts: Floats, weights: Floats) -> Floats:
    """Fleiss' kappa of any number of raters, who need not be the same for every film.

    kappa = (P - P_e) / (1 - P_e). With n_ij raters who gave film i the label j, and n_i raters of film i,
    P is the mean over films of sum_j n_ij (n_ij - 1) / (n_i (n_i - 1)), and P_e = sum_j p_j^2 with p_j the mean over
    films of n_ij / n_i. Where all n_i are the same this is the figure of 1971. A film with fewer than two raters is
    left out, as there is no agreement to measure.

    Sources: J. L. Fleiss, Measuring nominal scale agreement among many raters, Psychol. Bull. 76 (1971) 378-382; for
    different numbers of raters K. L. Gwet, Handbook of Inter-Rater Reliability (4th ed. 2014), chapter 2.

    Args:
        counts: float64 [N, K], raters by film and label.
        weights: float64 [B, N], how often each film counts.

    Returns:
        float64 [B], at most 1; NaN where no film has two raters or P_e is 1.
    """
    raters = counts.sum(axis=1)
    enough = raters >= 2
    counts, raters, weights = counts[enough], raters[enough], weights[:, enough]
    films = weights.sum(axis=1)
    pairs = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))
    observed = _share(weights @ pairs, films)
    chance = (_share(weights @ (counts / raters[:, None]), films[:, None]) ** 2).sum(axis=1)
    return _share(observed - chance, 1 - chance)


def _share(part: Floats, whole: Floats) -> Floats:
    """Quotient; NaN where the whole is 0, up to rounding."""
    nothing = np.isclose(whole, 0, rtol=0, atol=1e-12)
    return np.asarray(np.divide(part, np.where(nothing, np.nan, whole)))
