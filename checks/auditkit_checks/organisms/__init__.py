"""Recipes for organisms whose right answer is known."""
