"""What people say of collected pairs: at the terminal, in other tools, and how far they agree."""
