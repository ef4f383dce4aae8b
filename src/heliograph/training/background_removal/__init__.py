"""Background removal: ``silhouette``, which learns from people's masks and from a slower model."""
