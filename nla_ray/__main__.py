"""`python -m nla_ray` is `nla-ray`."""

from nla_ray.cli import main

main()
