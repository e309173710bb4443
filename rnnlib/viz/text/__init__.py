"""Pictures of models that read and write text, and of what they attend to (lessons 14 to 16)."""
