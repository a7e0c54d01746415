"""Logging in, staying in, leaving: sessions are families of rotating refresh tokens."""
