"""Weights on a server that both sides trust: nnsight's NDIF."""
