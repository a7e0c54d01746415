"""The schema, step by step. Each step runs while the previous release serves, and holds one concern."""
