"""The page of machines in parts: the list, one machine, its result, effects, what-if, history, and a new training."""
