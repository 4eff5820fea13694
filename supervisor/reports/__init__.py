"""What is said of it afterwards: records to sentences, sums and samples."""
