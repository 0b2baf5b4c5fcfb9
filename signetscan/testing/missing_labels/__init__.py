"""What the experiment on missing labels rests on: its methods, boxes that are dropped, windows, tables."""
