"""Chat completions.

requests       what a body asks
conversation   its messages: a question, and the conversation before it
replies        the two forms of a reply: streamed, and whole
schema         the bodies, in and out
"""
