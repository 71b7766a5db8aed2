"""Anthropic's Messages.

routes         messages, the count of their tokens, and the list of models
requests       what a body asks
conversation   its messages: a question, the conversation before it, and what the client's tools returned
tool_names     long names of tools, in short
replies        the two forms of a reply: streamed, and whole
errors         errors in the API's form
schema         the bodies that come in
blocks         the blocks of their messages
answers        the bodies and events that go out
"""
