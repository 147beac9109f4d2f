"""Publishing: plans, sending, reading back, and the embedded portal that ctnb starts itself."""
