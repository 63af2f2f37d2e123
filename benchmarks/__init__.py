"""How fast Rewardsmith is, beside the packages that people use today: `make bench`, `python -m benchmarks --help`."""
