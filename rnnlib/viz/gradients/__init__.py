"""Pictures of gradients that vanish, explode and are clipped (lessons 05 and 06)."""
