"""Registry: the kinds of models, the versions of a model, and the champion among them.

Enter at `flows.registry.registry`.
May import `flows.engine`, `flows.settings`, `data` and `lstm`.
"""
