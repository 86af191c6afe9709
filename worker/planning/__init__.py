"""What a dataset will cost, predicted from a sample of its videos."""
