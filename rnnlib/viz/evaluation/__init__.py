"""Pictures of judging a model: scores, confidence, what it looked at, and whether one is better (lesson 13)."""
