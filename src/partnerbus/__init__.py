"""A self-hosted partner event bus that speaks the AWS EventBridge wire API."""

__version__ = "0.1.0"
