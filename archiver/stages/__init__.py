"""The imperative shell: select what is due, decide (core), act through one port, record."""
