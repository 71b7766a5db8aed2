"""How the events and the results of runs read as text, for whoever shows them: the command line and the server.

event_lines        the events of a run as short lines
recorded_events    the events of a run that was written down
summary            what a run cost, what is missing from it, and what it had reached
printable          text that does not steer a terminal

run_progress       what a run has reached, by its events, as a result
run_stage          what it is doing as a whole; pace, a clock, how fast models write, and how long it will still take
task_states        what each task is doing; plan_tree, where it stands, and inner_runs, what goes on within it

markdown_parser    answers, read as Markdown of which nothing is hidden
html/              results and plans as HTML, for notebooks
"""
