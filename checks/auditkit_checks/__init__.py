"""The checks that come with auditkit. They enter through the same door as anybody else's."""
