"""Results, plans and runs as HTML for notebooks. What models and tools wrote is text in it, and never HTML of its own.

run          a result, a plan, a question of several, and a run that goes on; each a view with a style of its own
task_list    the tasks
answer       an answer; markdown, if there is what reads it
elements     escaping
style.css    for light and dark pages
"""

from .run import shown_end, shown_live, shown_plan, shown_question, shown_result
from .task_list import end_of

__all__ = ["end_of", "shown_end", "shown_live", "shown_plan", "shown_question", "shown_result"]
