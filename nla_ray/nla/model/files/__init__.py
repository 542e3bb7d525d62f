"""The files of weights: safetensors by their headers, and what is quantised."""
