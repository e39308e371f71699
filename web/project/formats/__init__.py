"""How languages write days and times; all else is Django's."""
