"""Who answers the films of a batch."""
