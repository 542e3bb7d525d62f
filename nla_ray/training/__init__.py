"""Training of NLAs: losses as pure functions and one short loop."""
