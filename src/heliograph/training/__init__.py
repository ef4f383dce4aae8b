"""Training of the models that ship with Heliograph; nothing here is needed to serve or to test them.

Training libraries (extra ``train``) are imported here only, and only where they are used: reading
data, augmenting and evaluating need NumPy alone.
"""
