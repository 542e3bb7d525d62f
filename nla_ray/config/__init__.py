"""Configuration: frozen models, YAML files with dotted overrides, fingerprints. No torch, no Ray."""
