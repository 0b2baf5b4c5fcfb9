"""Parts of the experiment on dropped outlines: its images, its methods, its figures, and its tables."""
