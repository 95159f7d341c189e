"""What the support team sees and may do. Everything done here goes through the services."""

from stores.admin import people, records, stores

__all__ = ["people", "records", "stores"]
