"""Methods that fit on frozen features without the loop, one file each."""
