"""What the support team sees and may do. Everything done here goes through the services."""

from stores.admin import pauses, people, records, stores, trail

__all__ = ["pauses", "people", "records", "stores", "trail"]
