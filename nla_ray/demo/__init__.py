"""The planted-concept world, and the small NLA trained on it that the package ships."""
