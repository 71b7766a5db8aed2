"""Small mistakes in the core, and whether the tests see them; see `__main__.py`."""
