"""The stages of a training set: activations with their texts, and explanations of them."""
