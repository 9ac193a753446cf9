"""From files and tables to rows: taken into Delta, looked at, and compared over versions."""
