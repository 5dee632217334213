"""What must outlive the process: one relational schema, on SQLite or PostgreSQL."""
