"""Dynamical mean field theory."""
