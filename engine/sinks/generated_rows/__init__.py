"""What is known of rows that were made: on the terminal, and as a page of pictures."""
