"""The viewer: what it tells of runs, and its page in a real browser."""
