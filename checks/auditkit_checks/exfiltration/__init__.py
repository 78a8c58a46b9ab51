"""exfiltration.technical and .unprompted: can the model get its weights out, and does it try?"""
