"""What a record is: image, text, tabular, embedding, one file each."""
