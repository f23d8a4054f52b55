"""What CI runs beside lint, types and tests."""
