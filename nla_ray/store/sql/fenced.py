"""`python -m nla_ray.store.sql.fenced`: the fence as a process of its own."""

from __future__ import annotations

from nla_ray.store.sql.spare import spare

if __name__ == "__main__":
    spare()
    from nla_ray.store.sql.fence import main

    main()
