"""Management: see commands/."""
