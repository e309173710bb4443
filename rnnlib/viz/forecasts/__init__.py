"""Pictures of forecasts: origins that roll, an overlay that fools, errors and coverage by horizon (lesson 17)."""
