"""Films and their answers."""

from films.models.film import FACTS, Film, Origin, Patient
from films.models.people import Share, Sighting
from films.models.reading import Delivery, Reading

__all__ = ["FACTS", "Delivery", "Film", "Origin", "Patient", "Reading", "Share", "Sighting"]
