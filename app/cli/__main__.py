"""`python -m app.cli`, for those who have installed the requirements but not the package."""

from app.cli import main

main()
