"""Label Studio: its interface over HTTP, its configurations, tasks there and answers here."""
