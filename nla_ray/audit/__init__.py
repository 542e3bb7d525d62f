"""Audits of explanation tables: detectors, evidence, calibrated rates, and a report that can be defended."""
