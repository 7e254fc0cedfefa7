"""What will run: runs, cohorts of one structure, batches of lanes."""
