"""The judge that serves a learner's instant check and an instructor's final grade alike."""
