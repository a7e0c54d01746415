"""Which tokens are no longer good, told to every process within a second."""
