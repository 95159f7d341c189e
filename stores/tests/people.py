"""What tests know of the named people beside their fixtures (conftest.py).

A module of its own: there are several files called conftest, and only one can be imported as that.
"""

PASSWORD = "correct horse battery staple"
