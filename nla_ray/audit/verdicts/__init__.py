"""What counts mean: rates beside controls, comparisons, gates, and what a planned audit could see."""
