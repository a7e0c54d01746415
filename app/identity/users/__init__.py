"""Accounts of a clinic and their roles."""
