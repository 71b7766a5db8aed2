"""Write a run down, go through it again offline, and conclude from it in another way."""

from contemplate import Contemplator, aggregators, planners
from contemplate.testing import ScriptedModel

JOURNAL = "sqlite:///runs.db"
QUESTION = "Is a tomato a fruit? Answer with yes or no."

sampled = Contemplator(planner=planners.sample(3), aggregator=aggregators.vote(stop=None), journal=JOURNAL)
first = sampled.run_sync(QUESTION, run_id="tomato")
print("vote:", first.answer, "-", first.usage.calls, "calls")

# A run that was killed would go on where it was. This one is over, and is not made again.
again = sampled.run_sync(QUESTION, run_id="tomato")
print("once more:", again.output == first.output)

# Offline: a model of this name that has nothing to say.
offline = Contemplator(
    ScriptedModel([], name=sampled.model.name),
    planner=planners.sample(3),
    aggregator=aggregators.vote(stop=None),
    journal=JOURNAL,
)
print("replayed:", offline.replay_sync("tomato").output == first.output)

merged = Contemplator(aggregator=aggregators.synthesize(), journal=JOURNAL)
print("merged:", merged.reaggregate_sync("tomato").output)
