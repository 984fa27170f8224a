"""What runs by itself. A queued row is the request; this wakes, claims and runs it through the verbs."""
