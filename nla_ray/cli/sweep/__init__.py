"""`nla-ray sweep`: weekly sweeps over many models and corpora."""
