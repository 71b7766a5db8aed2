"""Runs in a browser: the page, built from `viewer/`, and what it asks for.

routes       its page, the list of runs, the events of one, and decisions
operations   the same as data
page         the page's files, and a page that holds a run by itself
shown_runs   the runs that are shown: those that go on here, and those that were written down
live_runs    the events of those that go on
event_lines  events as lines of JSON
alone        the viewer as a server of its own, on loopback
"""
