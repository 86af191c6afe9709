"""What is done to texts: pure functions over strings, and the stages that use them."""
