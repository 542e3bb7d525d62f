"""The built-in texts that a proof reads the target's vectors from."""

from __future__ import annotations

TEXTS = (
    "The ferry to the northern islands was late again, so the passengers waited in the rain and ate.",
    "To multiply two fractions, multiply the numerators, then the denominators, and shorten what is left.",
    "def area(width, height):\n    if width < 0:\n        raise ValueError(width)\n    return width * height",
    "Dear landlord, the heating in my kitchen has been broken since Monday. Please send somebody this week.",
    "In 1911 two expeditions raced for the pole; only one of them came home to tell of the frozen plateau.",
    "Whisk four eggs with sugar until pale, fold in the flour, and bake the cake for half an hour at 160 C.",
    "The court held that the contract was void, since neither party had signed the amended second schedule.",
    "She slammed the door, furious that her brother had sold their grandmother's piano without asking her.",
    "Red blood cells carry oxygen from the lungs to the tissues and return with carbon dioxide to exhale.",
    "Our striker equalised in stoppage time, and the whole stadium sang until the lights were switched off.",
    "Quarterly revenue fell by nine percent as customers delayed orders and freight costs went on climbing.",
    "The violin enters alone with a slow theme in minor, answered two bars later by muted horns and timpani.",
    "Le marché ouvre à sept heures; les paysans y vendent du fromage, des pommes et des fleurs coupées.",
    "Wolves returned to the valley three winters ago, and the deer no longer graze beside the lower stream.",
    "Before you change the tyre, pull the hand brake, loosen the bolts a little, and only then lift the car.",
    "The comet will be visible shortly before dawn, low in the east, its tail pointing away from the sun.",
)
"""Sixteen subjects and genres; two vectors are read from each."""

PLACES = (0.6, 1.0)
"""How far into a text a vector is read; 1 is its last token."""
