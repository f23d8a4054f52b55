"""The world, one file per neighbour."""
