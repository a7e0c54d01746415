"""Telemed: a telemedicine backend. Each folder is one room; ARCHITECTURE.md is the map."""
