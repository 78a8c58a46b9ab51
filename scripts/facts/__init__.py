"""How the facts are made; ``scripts/make_facts.py`` is the way in.

=================  ==========================================================================
``packages``       the pinned source packages, and what a topic says of its upstream
``world``          GeoNames' countries and cities, without those that no topic uses
``countries``      topics about countries: capital, continent, currency, language, codes
``cities``         topics about cities and U.S. states
``elements``       topics about chemical elements
``orders``         days and months, what comes next, sums
``topics``         every topic: its facts beside its wordings
``distractors``    the false answers
``files``          the data file and the page that says where it comes from
``data/topics/``   a topic a file: wordings, and what is left out of upstream's data, and why
=================  ==========================================================================
"""
