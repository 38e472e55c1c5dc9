"""`python -m partnerbus`."""

from partnerbus.cli.main import main

if __name__ == "__main__":
    main()
