"""Many slides: finding them, working on each in a process that may die, and going on where a run was stopped."""
