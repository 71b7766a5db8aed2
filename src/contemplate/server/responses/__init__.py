"""OpenAI's Responses API.

routes                 what can be asked, and what answers it
requests               the body of a request
items                  messages, tool calls, reasoning: what conversations and outputs are made of
parts                  texts and images
item_input             items as clients send them
compaction             conversations as one item, which clients keep unread
conversation           items, as the question that they ask
asking                 a body, as what a contemplator is asked
resource               a response, as clients see it
writer                 makes its items and events of a run
agents                 the same with tasks as agents, for clients of the multi-agent beta
events                 the events of a stream
replies                the forms of a reply: streamed, and whole
background             runs that go on without their client
store                  what is kept of responses and conversations
conversation_routes    conversations that are kept with the server
listing                pages of items
"""
