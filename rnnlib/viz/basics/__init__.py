"""Pictures of what comes before recurrence: neurons that learn, tokens, order, honest splits (lessons 00-02)."""
