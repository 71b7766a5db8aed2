"""One question, contemplated: a plan, subagents in parallel, one merged answer.

The model is the one in `CONTEMPLATE_MODEL`; else OpenAI's if `OPENAI_API_KEY` is set; else a local one.
"""

import contemplate

result = contemplate.ask_sync("Is it better to learn touch typing at 10 or at 40 years of age?")

print(result.output)
print(f"\n{len(result.tasks)} subagents, {result.usage.total_tokens} tokens, {result.seconds:.1f} s")
