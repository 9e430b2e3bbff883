"""The backend's only SQL: tables, and one file of queries per noun."""
