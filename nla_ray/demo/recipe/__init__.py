"""How the demo pair is made: target, warm pair, reinforcement, measurement."""
