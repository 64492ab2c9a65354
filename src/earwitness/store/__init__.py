"""What is remembered: tables, queries and migrations, one set of queries for every database."""
