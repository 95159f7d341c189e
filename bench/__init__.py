"""How fast stores become ready, in one run that prints figures and ratios (`make bench`).

It starts a control plane, a database and the portal's processes of its own, and a plain shell
script does the same work on another such control plane. Never a test: nothing here has to hold.
"""
