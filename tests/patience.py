"""How long the tests wait for what should come."""

# Not how long anything takes, but when to give up, on whatever machine and beside whatever else. In seconds.
PATIENCE = 240.0
