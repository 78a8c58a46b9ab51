"""generalisation.cross_validation: models that were trained apart, against each other, easy work and hard."""
