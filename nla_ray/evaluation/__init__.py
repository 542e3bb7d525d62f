"""How good a pair is: pure functions over decoded tables and reconstructions, and a page."""
