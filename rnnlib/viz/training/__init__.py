"""Pictures of training: schedules, optimisers, logs, and studies over seeds (lessons 10 to 12)."""
