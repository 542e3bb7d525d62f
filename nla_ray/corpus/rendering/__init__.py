"""From a chat to the text that its target reads: a label for each character, and what is missing, named."""
