"""exfiltration.technical, .unprompted and .social: would weights get out, and does the model try?"""
