"""What pages share: how numbers are written and drawn, the head, the style, and that no text takes effect."""
