"""What became of each event: `writing` beside acceptance, `reading` by event, `bounding` by age and size."""
