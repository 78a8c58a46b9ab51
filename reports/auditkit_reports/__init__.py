"""How a report looks and reads: templates, style sheet, typefaces, words."""
