"""Simulation at finite N."""
