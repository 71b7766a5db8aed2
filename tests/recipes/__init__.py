"""Recipes: each one runs, on models with scripts, and does what docs say when things go wrong."""
