"""The moving parts: publish, route, dispatch, and what keeps them running."""
