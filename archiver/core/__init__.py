"""Pure rules of the archive: no I/O, no clock, no third-party import."""
