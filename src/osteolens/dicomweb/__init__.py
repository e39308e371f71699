"""Answers as DICOM objects, and films out of and into an archive."""
