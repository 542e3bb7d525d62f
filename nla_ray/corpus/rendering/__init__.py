"""From a chat to the text that its target reads, a label for each character, and the proof that nothing is missing."""
