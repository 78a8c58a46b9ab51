"""Planted subjects: models whose right answer is known, each with a harmless goal."""
