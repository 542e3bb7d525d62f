"""Published pairs: what is known of them, and what their files leave unsaid."""
