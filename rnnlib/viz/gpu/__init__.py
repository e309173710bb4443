"""Pictures of speed, precision and memory: launches, number formats, loaders, windows (lesson 23)."""
