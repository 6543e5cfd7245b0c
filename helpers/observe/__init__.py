"""What processes did, from the record that each of them writes to the picture that a learner sees."""
