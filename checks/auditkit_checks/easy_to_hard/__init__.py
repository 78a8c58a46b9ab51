"""generalisation.easy_to_hard: does what a model learns from easy labels hold on hard items?"""
