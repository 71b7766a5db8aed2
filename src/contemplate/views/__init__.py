"""How the events and the results of runs read as text, for whoever shows them: the command line and the server.

event_lines    the events of a run as short lines
summary        what a run cost, what is missing from it, and what it had reached
printable      text that does not steer a terminal
"""
