"""Pictures of a recurrence and of its unrolled network, values forwards and gradients back (lessons 03 and 04)."""
