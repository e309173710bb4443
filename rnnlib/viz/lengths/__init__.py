"""Pictures of sequences of unequal length: padding, masks, and what they cost (lesson 09)."""
